"""Results as a table: read from the day files, printed, and written into a page between its markers."""

import json
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- results: written by make bench -->", "<!-- end of results -->"
COLUMNS = ("what", "old way", "floor here", "measured", "CPU, memory", "ratio", "target", "met")

Rows = dict[str, dict[str, Any]]


def latest(folder: Path) -> Rows:
    """The newest result of every row, in the order of the rows."""
    from benchmarks.rows import ROWS

    found: Rows = {}
    for path in sorted(folder.glob("*.json")):
        found.update(json.loads(path.read_text()))
    return {name: found[name] for name in ROWS if name in found}


def lines_of(rows: Rows) -> list[tuple[str, ...]]:
    """The cells of every figure, as `COLUMNS` names them."""
    return [_cells(figure) for row in rows.values() for figure in row["figures"]]


def as_text(rows: Rows) -> str:
    """The table for a terminal."""
    cells = [COLUMNS, *lines_of(rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(COLUMNS))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
                     for line in cells)  # fmt: skip


def as_markdown(rows: Rows) -> str:
    """The table for a page, under a line that says where and with what it was measured, and notes below it."""
    if not rows:
        return "No row has been measured yet."
    parts = []
    for about in dict.fromkeys(_about(row) for row in rows.values()):
        mine = {name: row for name, row in rows.items() if _about(row) == about}
        table = [COLUMNS, tuple("---" for _ in COLUMNS), *lines_of(mine)]
        days = sorted({f"{row['at'][:10]} at {_revision(row)}" for row in mine.values()})
        busiest = max(row["machine"]["load"] for row in mine.values())
        parts.append(f"{about}. Measured {', '.join(days)}; load before a row at most {busiest}.")
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in table))
        notes = [f"- {figure['what']}: {figure['note']}." for row in mine.values() for figure in row["figures"]
                 if figure["note"]]  # fmt: skip
        parts.append("Notes:\n\n" + "\n".join(notes) if notes else "")
    return "\n\n".join(filter(None, parts))


def write_page(page: Path, rows: Rows) -> None:
    """Put the table between the markers of a page that has them."""
    if not page.exists():
        return
    text = page.read_text()
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    if found:
        page.write_text(f"{before}{BEGIN}\n{as_markdown(rows)}\n{END}{after}")


def _cells(figure: dict[str, Any]) -> tuple[str, ...]:
    unit, floor = figure["unit"], figure["floor"]
    met = {True: "yes", False: "no", None: ""}[figure["met"]]
    return (
        figure["what"],
        _middle(figure["old_way"], unit),
        f"{_middle(floor, unit)} ({floor['is']})" if floor["n"] else "",
        _whole(figure["measured"], unit),
        _took(figure.get("beside")),
        _spread(figure["ratio"]),
        figure["target"],
        met,
    )


def _took(beside: dict[str, float] | None) -> str:
    """CPU seconds; memory of the largest process, and of all of them if there are several."""
    if not beside:
        return ""
    largest, together = (_number(beside[name]) for name in ("largest_process_mib", "all_processes_mib"))
    memory = largest if largest == together else f"{largest}, all {together}"
    return f"{_number(beside['cpu_seconds'])} s, {memory} MiB"


def _middle(spread: dict[str, Any], unit: str) -> str:
    return f"{_number(spread['median'])} {unit}" if spread["n"] else ""


def _whole(spread: dict[str, Any], unit: str) -> str:
    """Minimum, median and maximum, unit, n."""
    if not spread["n"]:
        return "not measured"
    return f"{_spread(spread)} {unit}, n = {spread['n']}"


def _spread(spread: dict[str, Any]) -> str:
    if not spread["n"]:
        return ""
    if spread["n"] == 1:
        return _number(spread["median"])
    return " / ".join(_number(spread[name]) for name in ("min", "median", "max"))


def _number(value: float) -> str:
    """Three digits, more where they stand before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _about(row: dict[str, Any]) -> str:
    made, with_ = row["machine"], row["versions"]
    packages = ", ".join(f"{name} {with_[name]}" for name in with_ if name not in ("revision", "modified"))
    return f"{made['cpu']}, {made['cores']} cores, {made['memory_gib']} GiB, {made['system']}; {packages}"


def _revision(row: dict[str, Any]) -> str:
    versions = row["versions"]
    return f"{versions.get('revision', 'no revision')}{' with changes' if versions.get('modified') else ''}"
