"""The separator between the cells of a table, and whether a comma is that or a decimal mark."""

import csv
import io
import itertools
import re
from collections.abc import Iterator

from beatsight_core.errors import InputError

Lines = list[tuple[int, str]]
"""Number and text of each line that is not blank and no comment."""

_DECIMALS = re.compile(r"(?:[+-]?|(?:\d+:)?\d{1,2}:)\d+,\d+", re.ASCII)
_CLOCK_OF_SUBTITLES = re.compile(r"\d+:\d{2}:\d{2},\d{3}", re.ASCII)
_BLANKS = re.compile(r"[ \t]+")
"""Between cells. A blank that does not break stands inside of numbers, as in 1 234,5."""
_UNIT_BEHIND = re.compile(r"(\d)\s+(ms|msec|secs?|seconds?)(?=\s|$)")
"""A unit after a blank, which else would be a cell of its own and read as a label."""
_SURE_DIGITS = 4
"""Digits behind a comma, as many in every line, from which on nobody takes them for a whole number."""


def separator_of(lines: Lines, where: str) -> tuple[str | None, Lines]:
    """Return what stands between the cells of a line, None for blanks; and the lines without one that only says so.

    Args:
        lines: Heading, if there is one, and the rows.
        where: Name of the file, for messages.

    Raises:
        InputError: Commas may be either.
    """
    if lines and (stated := re.fullmatch(r"\s*sep=(.)\s*", lines[0][1])):
        return stated[1], lines[1:]
    for mark in ("\t", ";", "|"):
        if any(mark in line for _, line in lines):
            return mark, lines
    has_cells = any("," in line for _, line in lines) and not _has_decimal_commas(lines, where)
    return ("," if has_cells else None), lines


def names_of(line: str, cells: int) -> tuple[str, ...]:
    """Return the names in a heading that blanks part: a unit in brackets belongs to the name before it.

    Args:
        line: Heading of the table.
        cells: Most cells that a row below it has; with one, all of the heading is one name.
    """
    if cells == 1:
        return (line.strip(),)
    return tuple(re.findall(r"[^\s(\[]+(?:\s*[(\[][^)\]]*[)\]])?|\S+", line))


def cells_of(lines: Lines, separator: str | None, where: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield the number of each line and its cells, without quotes and blanks around them.

    Raises:
        InputError: A line has a cell that never ends.
    """
    for number, line in lines:
        if separator is None:
            yield number, tuple(_BLANKS.split(_UNIT_BEHIND.sub(r"\1\2", line).strip()))
            continue
        try:
            row = next(csv.reader(io.StringIO(line), delimiter=separator, skipinitialspace=True), [])
        except csv.Error as error:
            do = "mend or remove the line"
            raise InputError(
                "A line is no row of a table", where=f"{where}, line {number}", why=str(error), do=do
            ) from error
        yield number, tuple(cell.strip() for cell in row)


def one_number_or_two(shown: str, where: str) -> InputError:
    """Return the error for digits on both sides of a comma that may be a decimal comma or part two cells."""
    return InputError(
        f"Nobody can know whether {shown} is one number with a decimal comma, or two",
        where=where,
        do="write a decimal point, or put semicolons or tabs between the columns",
    )


def _has_decimal_commas(lines: Lines, where: str) -> bool:
    """Whether commas stand inside numbers and not between cells.

    Raises:
        InputError: Either may be, as in 1,512 above 2,724: two whole numbers, or one with decimals.
    """
    rows = [(number, line) for number, line in lines if re.search(r"\d", line)]
    found = [(number, token) for number, line in rows for token in line.split() if "," in token]
    if not found or not all(_DECIMALS.fullmatch(token) for _, token in found):
        return False
    named = lines[0][1] if rows[0] != lines[0] else None
    if (named is not None and "," in named) or any(re.search(r"\d\.\d", line) for _, line in rows):
        return False  # names with commas between them, or a decimal point in the same file
    if named is not None or any(len(line.split()) > 1 for _, line in rows) or _are_sure([each for _, each in found]):
        return True  # one name for one cell, or blanks between the cells
    raise one_number_or_two(found[0][1], f"{where}, line {found[0][0]}")


def _are_sure(tokens: list[str]) -> bool:
    """Whether digits, comma, digits can only be numbers with decimals."""
    if any(":" in token for token in tokens):
        return all(_CLOCK_OF_SUBTITLES.fullmatch(token) for token in tokens)
    wholes, parts = zip(*(token.split(",") for token in tokens), strict=True)
    lengths = {len(part) for part in parts}
    if any(len(part) > 1 and part.startswith("0") for part in parts):
        return True  # no whole number is written so
    if len(lengths) == 1 and min(lengths) >= _SURE_DIGITS:
        return True
    rises = all(before < after for before, after in itertools.pairwise(map(float, wholes)))
    return not rises and min(lengths) > 1  # neither row numbers nor whole seconds in order stand before the commas
