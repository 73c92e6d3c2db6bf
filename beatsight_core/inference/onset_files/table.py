"""Onsets in lines: one a line, or a table with or without a heading, as programs and people write them.

Read are one time a line; CSV with commas, semicolons or tabs; Audacity's labels (start, end and label, and lines that
begin with a backslash and hold frequencies); Sonic Visualiser's CSV; `onset label` as MIREX and ADTOF have it; Reaper's
markers. A decimal comma, a heading, the unit that it states, and a column that only counts rows are recognised. What
fits two readings is refused with its line: a table that means 0.512 s is never read as 0 s.
"""

import collections
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from beatsight_core.errors import InputError
from beatsight_core.inference.onset_files.column_names import names_other_numbers, stated_rate, unit_of_name
from beatsight_core.inference.onset_files.separators import cells_of, names_of, one_number_or_two, separator_of
from beatsight_core.inference.onset_files.times import TimeUnit, Written, not_a_time, require_clear, written

_COMMENTS = ("#", "%", "//")
_FREQUENCIES = "\\"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?!\d)|\d{1,2}([./])\d{1,2}\1\d{4}(?!\d)", re.ASCII)
_DIGITS = re.compile(r"\d+(?:\.\d+)?$", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Row:
    """A line that is not blank and no comment.

    Attributes:
        number: Number of the line, from 1 on.
        cells: Cells of the line.
    """

    number: int
    cells: tuple[str, ...]

    def cell(self, column: int) -> str:
        """Return a cell; empty if the line is shorter."""
        return self.cells[column] if column < len(self.cells) else ""


def times_of_lines(text: str, where: str) -> list[tuple[str, float]]:
    """Return where each time stands in a text, and what it is in seconds.

    Args:
        text: Content of the whole file.
        where: Name of the file, for messages.

    Raises:
        InputError: A line holds no time, or nobody can know which of two readings is meant; names the line.
    """
    lines = list(enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1))
    comments = [line for _, line in lines if line.lstrip().startswith(_COMMENTS)]
    rate_hz = next(filter(None, map(stated_rate, comments)), 0.0)
    separator, lines = separator_of(_without_comments(lines), where)
    rows = [_Row(number, cells) for number, cells in cells_of(lines, separator, where)]
    if not rows:
        return []
    heading, rows = _heading(rows)
    if not rows:
        return []
    if heading is not None and separator is None:
        heading = _Row(heading.number, names_of(lines[0][1], max(len(row.cells) for row in rows)))
    column, unit = _time_column(heading, rows, rate_hz, where)
    _refuse_regions(heading, rows, where)
    times = list(_times(rows, column, where))
    if separator == ",":
        _refuse_cut_decimals(rows, column, where)
    if separator == "," and heading is None:
        _refuse_thousands(rows, column, where)
    require_clear(times, unit, where)
    return [(place, unit.seconds(time)) for place, time in times]


def _without_comments(lines: Sequence[tuple[int, str]]) -> list[tuple[int, str]]:
    """The lines with something in them; a first line that begins with # may be a heading, as Reaper writes one."""
    kept: list[tuple[int, str]] = []
    for number, line in lines:
        bare = line.strip()
        names = [name.strip() for name in re.split(r"[,;\t]", bare.removeprefix("#"))]
        is_heading = not kept and len(names) > 1 and not any(re.search(r"\s\w", name) for name in names)
        is_heading = is_heading and any(unit_of_name(name) for name in names)
        if bare and not bare.startswith(_FREQUENCIES) and (is_heading or not bare.startswith(_COMMENTS)):
            kept.append((number, line))
    return kept


def _heading(rows: list[_Row]) -> tuple[_Row | None, list[_Row]]:
    """The first line, if it holds names and no time; and the others. A lone one must be a name that is known."""
    first = rows[0]
    has_time = any(written(cell) for cell in first.cells)
    has_names = any(re.search(r"[^\W\d_]", cell) for cell in first.cells)
    if has_names and not has_time and (len(rows) > 1 or any(map(unit_of_name, first.cells))):
        return first, rows[1:]
    return None, rows


def _time_column(heading: _Row | None, rows: list[_Row], rate_hz: float, where: str) -> tuple[int, TimeUnit]:
    """The column that holds the onsets, and their unit.

    Raises:
        InputError: Several may.
    """
    if heading is not None:
        named = [
            (*found, column) for column, name in enumerate(heading.cells) if (found := unit_of_name(name, rate_hz))
        ]
        if named:
            _, unit, column = min(named, key=lambda each: each[0])
            if unit.name == "samples" and not unit.rate_hz:
                raise InputError(
                    f"The column {heading.cells[column]} counts samples, and the file does not say of which rate",
                    where=f"{where}, line {heading.number}",
                    do="add a line above it: # sample_rate: 44100",
                )
            return column, unit
    width = max(len(row.cells) for row in rows)
    columns = {column: [written(row.cell(column)) for row in rows] for column in range(width)}
    numeric = {column: [time for time in times if time] for column, times in columns.items() if all(times)}
    if not numeric:
        return 0, TimeUnit()  # the first line that is no time is told
    column = _likeliest(numeric, heading, rows, where)
    if heading is not None and names_other_numbers(name := heading.cell(column)):
        raise _doubt(rows, where, f"its only column of numbers is called {name}, and that is no time")
    return column, TimeUnit()


def _likeliest(numeric: dict[int, list[Written]], heading: _Row | None, rows: list[_Row], where: str) -> int:
    """Of columns of numbers without a known name the one that holds the onsets.

    Raises:
        InputError: Several may, or the only one may count rows.
    """
    first, *others = numeric
    counts = _counts_rows(numeric[first])
    if not others:
        if counts and len(rows) > 1 and max(len(row.cells) for row in rows) > 1:
            raise _doubt(rows, where, "its first column counts 1, 2, 3: row numbers, or seconds")
        return first
    if heading is not None:
        names = ", ".join(heading.cells)
        raise _doubt(rows, where, f"of the columns {names} several hold numbers, and none is called onset or time")
    if counts:
        if _in_order(numeric[others[0]]) and not all(time.is_whole for time in numeric[others[0]]):
            return others[0]
        raise _doubt(rows, where, "its first column counts rows, and the next is not a time in order")
    if all(time.is_whole for time in numeric[first]):
        raise _doubt(rows, where, "its first column holds whole numbers only, and others hold numbers too")
    if not _in_order(numeric[first]) and any(_in_order(numeric[other]) for other in others):
        raise _doubt(rows, where, "another column than the first is in order")
    return first


def _counts_rows(times: list[Written]) -> bool:
    """Whether a column counts 0, 1, 2 or 1, 2, 3."""
    values = [time.value for time in times]
    return all(time.is_whole for time in times) and values in (
        list(range(len(values))),
        list(range(1, len(values) + 1)),
    )


def _in_order(times: list[Written]) -> bool:
    values = [time.value for time in times]
    return all(before <= after for before, after in itertools.pairwise(values)) and min(values) >= 0


def _doubt(rows: list[_Row], where: str, why: str) -> InputError:
    return InputError(
        "Nobody can know which column of a table holds the onsets",
        where=f"{where}, line {rows[0].number}",
        why=why,
        do="put a heading above it that calls one of them onset_s or onset_ms",
    )


def _times(rows: Sequence[_Row], column: int, where: str) -> Iterator[tuple[str, Written]]:
    """The times of a column, each with its line.

    Raises:
        InputError: A cell is no time, or its decimal mark is another than that of a line before.
    """
    mark = None
    for row in rows:
        cell, place = row.cell(column), f"line {row.number}"
        time = written(cell)
        if time is None or time.value < 0 or any(_DATE.match(each) for each in row.cells):
            raise not_a_time(cell, f"{where}, {place}", _reason(row))
        if time.mark and mark and time.mark != mark:
            raise not_a_time(cell, f"{where}, {place}", f"lines before it write {mark!r} in numbers")
        mark = mark or time.mark
        yield place, time


def _refuse_regions(heading: _Row | None, rows: Sequence[_Row], where: str) -> None:
    """Refuse what Reaper exports of regions: they begin somewhere, and are no strokes.

    Raises:
        InputError: A row is one.
    """
    region = next((row for row in rows if re.fullmatch(r"R\d+", row.cell(0))), None)
    if heading is not None and heading.cells[0] == "#" and region is not None:
        raise InputError(
            "A region of Reaper is no onset", where=f"{where}, line {region.number}", do="export the markers alone"
        )


def _reason(row: _Row) -> str | None:
    joined = " ".join(row.cells)
    if any(_DATE.match(cell) for cell in row.cells):
        return "its line has a date, so it may be the time of day"
    if re.search(r"\d[.,]\d{3}[.,]\d", joined):
        return "it has two marks in one number"
    return "it counts measures and beats" if re.search(r"\b\d+\.\d+\.\d+\b", joined) else None


def _refuse_cut_decimals(rows: list[_Row], column: int, where: str) -> None:
    """Refuse whole numbers that commas follow, with digits behind them: 0,512,kick is no onset at 0 s.

    Raises:
        InputError: All rows are of that kind, or one is that has more cells than most.
    """
    usual = collections.Counter(len(row.cells) for row in rows).most_common(1)[0][0]
    cut = [row for row in rows if re.fullmatch(r"\d+", row.cell(column)) and _DIGITS.match(row.cell(column + 1))]
    for row in cut if len(cut) == len(rows) else [row for row in cut if len(row.cells) > usual]:
        raise one_number_or_two(f"{row.cell(column)},{row.cell(column + 1)}", f"{where}, line {row.number}")


def _refuse_thousands(rows: Sequence[_Row], column: int, where: str) -> None:
    """Refuse 1.234,5 where every row may be read so: as 1234.5, or as 1.234 and a label.

    Raises:
        InputError: All rows are of that kind.
    """
    pairs = [(row.cell(column), row.cell(column + 1)) for row in rows]
    if all(re.fullmatch(r"[1-9]\d{0,2}\.\d{3}", before) and _DIGITS.match(after) for before, after in pairs):
        raise one_number_or_two(",".join(pairs[0]), f"{where}, line {rows[0].number}")
