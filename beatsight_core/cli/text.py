"""How results read on a terminal: headline, aligned figures, tables, gates. Values come from the library.

`Session.show` has made every text in them safe for terminals. Nothing here is read as markup of styles.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from beatsight_core.pages.formats import shown

PASS, FAIL = "pass", "FAIL"
PIPED_WIDTH = 160


def console() -> Console:
    """A console on standard output, wide enough for a table when nobody's terminal sets the width."""
    width = None if sys.stdout.isatty() else PIPED_WIDTH
    return Console(file=sys.stdout, width=width, highlight=False)


def headline(text: str) -> None:
    """Print a bold line."""
    click.secho(text, bold=True)


def figures(values: Mapping[str, Any]) -> None:
    """Print name and value pairs, aligned; empty ones are left out."""
    shown = {name: shape(value) for name, value in values.items() if value not in (None, {}, [], "")}
    width = max((len(name) for name in shown), default=0)
    for name, value in shown.items():
        click.echo(f"  {name:<{width}}  {value}")


def table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], title: str = "") -> None:
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


def gates(rows: Iterable[Mapping[str, Any]], title: str) -> None:
    """Print gates: pass or FAIL, name, value, limit with its sign; below, what each failed one says.

    Value and limit are written as the page of the same gates writes them.
    """
    rows = list(rows)
    shown = [
        {
            "": PASS if row["passed"] else FAIL,
            "gate": row["name"],
            "value": _written(row, "value"),
            "limit": f"{row.get('sign', '')} {_written(row, 'limit')}".strip(),
        }
        for row in rows
    ]
    table(shown, ["", "gate", "value", "limit"], title)
    for row in rows:
        if not row["passed"] and row.get("message"):
            setting = row.get("setting") or ""
            more = f"; the setting is {setting}" if setting not in row["message"] else ""
            click.echo(f"{click.style(FAIL, fg='red', bold=True)} {row['name']}: {row['message']}{more}")


def _written(row: Mapping[str, Any], name: str) -> str:
    """A figure of a gate, in the format that the gate names."""
    return shown(row.get(name), row["format"]) if "format" in row else shape(row.get(name))


def shape(value: Any) -> str:  # noqa: PLR0911 - one return per kind of value
    """A value as people read it: thousands separated, four digits, yes and no."""
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
    """Bytes with a binary unit."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:,.0f} {unit}" if unit == "B" else f"{count:,.1f} {unit}"
        count /= 1024
    return f"{count:,.2f} TiB"
