"""The shapes that a health page draws: tiles, bars, tables of shares. Rows of tables are JSON values by column."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tile:
    """A headline figure.

    Attributes:
        label: Name of the figure.
        value: Figure as text.
        note: Small print below it.
        state: Badge, "warn" or None.
    """

    label: str
    value: str
    note: str
    state: str | None = None


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar with its figure.

    Attributes:
        label: Name of the bar.
        value: Length of the bar.
    """

    label: str
    value: float


@dataclass(frozen=True, slots=True)
class StackedBar:
    """A bar of several parts.

    Attributes:
        label: Name of the bar.
        amounts: Part -> its length.
        total: Figure at its end.
    """

    label: str
    amounts: Mapping[str, float]
    total: float


@dataclass(frozen=True, slots=True)
class BarPart:
    """A part of all stacked bars.

    Attributes:
        key: Key of its amounts.
        title: Name of the part.
        tone: Colour of the part.
    """

    key: str
    title: str
    tone: str


@dataclass(frozen=True, slots=True)
class HeatTable:
    """A table whose cells are tinted.

    Attributes:
        rows: Names of the rows.
        columns: Names of the columns.
        values: Figures, row by row; None where there is nothing to say.
    """

    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[list[float | None]]


def bars(counts: Mapping[str, float]) -> list[Bar]:
    """Return bars of a table of counts, in its order."""
    return [Bar(label, value) for label, value in counts.items()]


def stacked(label: str, amounts: Mapping[str, float]) -> StackedBar:
    """Return a stacked bar whose figure is its sum."""
    return StackedBar(label, amounts, sum(amounts.values()))


def share(part: float, whole: float) -> float:
    """Return a part of a whole, 0..1; 0 of nothing."""
    return part / whole if whole else 0.0


def short(per_cent: float) -> float:
    """Return per cent short enough for a cell: 25.7, 1.6, 0.04."""
    return round(per_cent, 1) if per_cent >= 1 else float(f"{per_cent:.1g}")
