"""A gate: one figure held against one limit. Corpora, probes, candidates, versions and loss curves are judged by these.

Margin, verdict and message follow from the parts of a gate and are stored nowhere. `written` gives a gate as people
read it. Terminals, the web UI, pages and pictures all take their texts from there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeGuard, get_args

from beatsight_core.pages.charts import reach
from beatsight_core.pages.formats import shown

Sign: TypeAlias = Literal["≥", ">", "≤"]
"""How a figure must stand to its limit."""
AT_LEAST: Sign = "≥"
ABOVE: Sign = ">"
AT_MOST: Sign = "≤"

Cell: TypeAlias = str | int | float | bool | None
DetailRow: TypeAlias = Mapping[str, Cell]
"""One row of the table that a figure was made of."""

GateRow: TypeAlias = Mapping[str, Cell | list[dict[str, Cell]]]
"""A gate as JSON values."""

NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class Limit:
    """The limit of one figure; `at_least`, `above` and `at_most` make one.

    Attributes:
        value: The limit.
        sign: Relation that a figure must have to the limit.
    """

    value: float
    sign: Sign

    def is_met_by(self, figure: float | None) -> bool:
        """Return whether a figure meets the limit; one that was not measured does not."""
        if figure is None:
            return False
        return {AT_LEAST: figure >= self.value, ABOVE: figure > self.value, AT_MOST: figure <= self.value}[self.sign]

    def margin(self, figure: float | None) -> float | None:
        """Return the distance to the limit, positive on the good side; None for a figure that was not measured."""
        if figure is None:
            return None
        return self.value - figure if self.sign == AT_MOST else figure - self.value

    def is_loosened_by(self, value: float) -> bool:
        """Return whether `value` as the limit would let more pass."""
        return value > self.value if self.sign == AT_MOST else value < self.value


def at_least(value: float) -> Limit:
    """Return a limit that wants `value` or more."""
    return Limit(value, AT_LEAST)


def above(value: float) -> Limit:
    """Return a limit that wants more than `value`."""
    return Limit(value, ABOVE)


def at_most(value: float) -> Limit:
    """Return a limit that wants `value` or less."""
    return Limit(value, AT_MOST)


@dataclass(frozen=True, slots=True)
class Gate:
    """One figure and the limit that it is held against.

    Attributes:
        name: Stable name, for scripts and for comparing one judgement with another.
        value: Figure that was measured; None where it could not be, which fails.
        limit: Limit of the figure.
        found: Finding in words.
        do: Remedy, told with the finding if the gate fails; empty where the finding says enough.
        format: Unit of value and limit, a name in `pages.formats.FORMATS`.
        group: Part of a report that the gate belongs to; empty where there is one part alone.
        title: Name for people; empty where `name` serves.
        setting: Name of the setting that holds the limit, or that mends the finding; empty where there is none.
        details: Rows of the table that the figure was made of.
    """

    name: str
    value: float | None
    limit: Limit
    found: str
    do: str = ""
    format: str = "count"
    group: str = ""
    title: str = ""
    setting: str = ""
    details: tuple[DetailRow, ...] = ()

    @property
    def margin(self) -> float | None:
        """Distance of the value to its limit, positive on the good side; None where nothing was measured."""
        return self.limit.margin(self.value)

    @property
    def passed(self) -> bool:
        """Verdict: the value is there and meets the limit."""
        return self.limit.is_met_by(self.value)

    @property
    def message(self) -> str:
        """Finding; for a failed gate with a remedy also the remedy, and the setting that bears on it."""
        if self.passed or not self.do:
            return self.found
        told = f"{self.found}: {self.do}"
        return f"{told}; the setting is {self.setting}" if self.setting else told

    def to_json(self) -> dict[str, Cell | list[dict[str, Cell]]]:
        """Return all of it as JSON values, with margin, verdict and message for readers that compute nothing."""
        return {
            "name": self.name,
            "group": self.group,
            "title": self.title or self.name,
            "value": self.value,
            "limit": self.limit.value,
            "sign": self.limit.sign,
            "format": self.format,
            "margin": self.margin,
            "passed": self.passed,
            "message": self.message,
            "setting": self.setting,
            "details": [dict(row) for row in self.details],
        }

    @classmethod
    def from_json(cls, row: GateRow) -> "Gate":
        """Read a gate back.

        Args:
            row: JSON values as `to_json` gives them. Gates of earlier versions lack some; the defaults stand for these.

        Raises:
            ValueError: The row is no gate.
        """
        name, value, limit, details = row.get("name"), row.get("value"), row.get("limit"), row.get("details")
        if not (isinstance(name, str) and (value is None or _is_number(value)) and _is_number(limit)):
            raise ValueError(f"no gate: name {name!r}, value {value!r}, limit {limit!r}")
        sign: Sign | None = next((known for known in get_args(Sign) if known == row.get("sign")), None)
        if sign is None:  # the first versions wrote none; it follows from the verdict
            sign = AT_LEAST if (value is not None and value >= limit) == bool(row.get("passed")) else AT_MOST
        parts = {part: str(row[part]) for part in ("group", "title", "setting") if row.get(part)}
        unit, rows = str(row.get("format", "number")), tuple(details) if isinstance(details, list | tuple) else ()
        return cls(name, value, Limit(limit, sign), str(row.get("message", "")), "", unit, **parts, details=rows)


@dataclass(frozen=True, slots=True)
class WrittenGate:
    """A gate as people read it.

    Attributes:
        name: Title of the gate, or its name.
        passed: Verdict.
        value: Figure with its unit.
        limit: Sign and limit with its unit.
        margin: Distance to the limit with its unit.
        finding: Message, with the setting that holds the limit if the gate failed and the message does not name it.
        shift: Margin as pictures draw it, -1 to 1; None where nothing was measured.
    """

    name: str
    passed: bool
    value: str
    limit: str
    margin: str
    finding: str
    shift: float | None


def written(gate: Gate) -> WrittenGate:
    """Write a gate as people read it: terminal, web UI, pages and pictures agree to the letter."""
    value, limit = shown(gate.value, gate.format), shown(gate.limit.value, gate.format)
    if value == limit and not gate.passed and gate.margin:  # rounding must not hide why it failed
        value = f"{value} ({gate.value:.6g})"
    if gate.value is None:
        value = NOT_MEASURED
    says_all = gate.passed or not gate.setting or gate.setting in gate.message
    finding = gate.message if says_all else f"{gate.message}; the setting is {gate.setting}"
    margin, named = shown(gate.margin, gate.format), gate.title or gate.name
    shift = reach(gate.value, gate.limit.value, gate.margin)
    return WrittenGate(named, gate.passed, value, f"{gate.limit.sign} {limit}", margin, finding, shift)


def written_rows(rows: Iterable[GateRow]) -> list[WrittenGate]:
    """Write gates that come as JSON values, as records and results hold them."""
    return [written(Gate.from_json(row)) for row in rows]


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
