"""A measured figure beside its floor and its target."""

import statistics
from dataclasses import dataclass, field
from typing import Any

Values = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure shall be.

    Attributes:
        limit: Of the ratio to the floor, or of the value.
        of: "ratio" or "value".
        at_least: Whether more is better.
    """

    limit: float
    of: str = "ratio"
    at_least: bool = False

    def is_met(self, value: float) -> bool:
        """Whether a median keeps to the limit."""
        return value >= self.limit if self.at_least else value <= self.limit


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table.

    Attributes:
        what: Of what.
        unit: Of `measured`, `floor` and `old`.
        measured: One value a round; none where this machine cannot measure it.
        floor: The reference point of the same rounds.
        floor_is: What it is.
        old: What the reference loop in old_way.py took, brought to the same size.
        target: None if there is only something to see.
        target_is: The target in words.
        note: What one must know to read it.
        beside: Medians of memory and CPU time.
    """

    what: str
    unit: str
    measured: Values
    floor: Values = ()
    floor_is: str = ""
    old: Values = ()
    target: Target | None = None
    target_is: str = ""
    note: str = ""
    beside: dict[str, float] = field(default_factory=dict)

    @property
    def ratios(self) -> Values:
        """Measured over floor, round by round."""
        return tuple(mine / floor for mine, floor in zip(self.measured, self.floor, strict=True)) if self.floor else ()

    @property
    def met(self) -> bool | None:
        """Whether the median keeps the target; None if there is no target or nothing was measured."""
        judged = self.ratios if self.target and self.target.of == "ratio" else self.measured
        return self.target.is_met(statistics.median(judged)) if self.target and judged else None

    def to_json(self) -> dict[str, Any]:
        """All of it with spreads, JSON-safe."""
        return {
            "what": self.what,
            "unit": self.unit,
            "measured": spread(self.measured),
            "floor": {"is": self.floor_is, **spread(self.floor)},
            "old_way": spread(self.old),
            "ratio": spread(self.ratios),
            "target": self.target_is,
            "met": self.met,
            "note": self.note,
            **({"beside": {name: _rounded(value) for name, value in self.beside.items()}} if self.beside else {}),
        }


def spread(values: Values) -> dict[str, Any]:
    """n, min, median and max; only n if there are none."""
    if not values:
        return {"n": 0}
    return {
        "n": len(values),
        "min": _rounded(min(values)),
        "median": _rounded(statistics.median(values)),
        "max": _rounded(max(values)),
    }


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
