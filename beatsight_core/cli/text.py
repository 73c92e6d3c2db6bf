"""How results read on a terminal: headline, aligned figures, tables, gates. Values come from the library.

`Session.show` has made every text in them safe for terminals. Nothing here is read as markup of styles.
"""

import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from beatsight_core.gates.gate import Cell, GateRow, written_rows

PASS, FAIL = "pass", "FAIL"

Figure: TypeAlias = Cell | Path | Sequence["Figure"] | Mapping[str, "Figure"]
"""A value that can be shown."""
PIPED_WIDTH = 160
READING_WIDTH = 100
"""No line of sentences is longer, however wide the terminal."""


def console() -> Console:
    """Return a console on standard output, wide enough for a table when nobody's terminal sets the width."""
    width = None if sys.stdout.isatty() else PIPED_WIDTH
    return Console(file=sys.stdout, width=width, highlight=False)


def headline(text: str) -> None:
    """Print a bold line."""
    click.secho(text, bold=True)


def paragraph(words: str, *, indent: int = 0, begin: str = "") -> None:
    """Print a sentence over as many lines as it takes, all but the first indented; a path or a name is never cut.

    Args:
        words: Sentence to print.
        indent: Columns before each line.
        begin: Text in these columns of the first line.
    """
    width = min(console().width, READING_WIDTH)
    lines = textwrap.wrap(words, max(width - indent, 20), break_long_words=False, break_on_hyphens=False) or [""]
    first = begin + " " * (indent - len(click.unstyle(begin)))
    click.echo("\n".join([f"{first}{lines[0]}".rstrip(), *(" " * indent + line for line in lines[1:])]))


def figures(values: Mapping[str, Figure]) -> None:
    """Print name and value pairs, aligned; empty ones are left out."""
    shown = {name: shape(value) for name, value in values.items() if value not in (None, {}, [], (), "")}
    width = max((len(name) for name in shown), default=0)
    for name, value in shown.items():
        click.echo(f"  {name:<{width}}  {value}")


def table(rows: Iterable[Mapping[str, Figure]], columns: Sequence[str], title: str = "") -> None:
    """Print rows as a table; numbers to the right, every text as plain text."""
    rows = list(rows)
    if not rows:
        return
    grid = Table(title=Text(title) if title else None, title_justify="left", box=None, pad_edge=False, padding=(0, 2))
    for column in columns:
        numeric = all(isinstance(row.get(column), int | float | None) for row in rows)
        grid.add_column(Text(column.replace("_", " ")), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(Text(shape(row.get(column))) for column in columns))
    console().print(grid)


def gates(rows: Iterable[GateRow], title: str) -> None:
    """Print gates: pass or FAIL, name, value, sign and limit; below, what each failed one says.

    Args:
        rows: Gates as JSON values.
        title: Text above them.
    """
    shown = written_rows(rows)
    cells = [
        {"": PASS if gate.passed else FAIL, "gate": gate.name, "value": gate.value, "limit": gate.limit}
        for gate in shown
    ]
    table(cells, ["", "gate", "value", "limit"], title)
    for gate in shown:
        if not gate.passed and gate.finding:
            click.echo(f"{click.style(FAIL, fg='red', bold=True)} {gate.name}: {gate.finding}")


def shape(value: Figure) -> str:  # noqa: PLR0911 - one return per kind of value
    """Return a value as people read it: thousands separated, four digits, yes and no."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4f}".rstrip("0").rstrip(".") if abs(value) < 1000 else f"{value:,.1f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {shape(item)}" for name, item in value.items()) or "-"
    if isinstance(value, list | tuple):
        return ", ".join(shape(item) for item in value) or "-"
    return str(value)


def size(count: float) -> str:
    """Return bytes with a binary unit."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:,.0f} {unit}" if unit == "B" else f"{count:,.1f} {unit}"
        count /= 1024
    return f"{count:,.2f} TiB"
