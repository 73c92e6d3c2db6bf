"""One limit of a corpus and what was measured against it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from beatsight_core.pages.formats import shown

AT_LEAST, AT_MOST = "≥", "≤"


@dataclass(frozen=True, slots=True)
class Gate:
    """One limit and what was measured against it.

    Attributes:
        name: What is held to it.
        group: rejects, counts, techniques, labels, audio, sound, reconciliation, leakage or baseline.
        value: What was measured; None where nothing could be, which fails.
        limit: What it is held against.
        sign: Which side of the limit is good.
        format: How value and limit are written, a name in `pages.formats.FORMATS`.
        message: The finding in words; for a failed gate also what to do, and the setting.
        setting: Name of the setting that holds the limit, or that mends the finding; empty where there is none.
    """

    name: str
    group: str
    value: float | None
    limit: float
    sign: str
    format: str
    message: str
    setting: str = ""

    @property
    def margin(self) -> float | None:
        """How far the value is on the good side of its limit; negative where it fails."""
        if self.value is None:
            return None
        return self.value - self.limit if self.sign == AT_LEAST else self.limit - self.value

    @property
    def passed(self) -> bool:
        """Whether the limit is kept."""
        return self.margin is not None and self.margin >= 0

    def to_json(self) -> dict[str, Any]:
        """With margin and verdict."""
        return {**asdict(self), "margin": self.margin, "passed": self.passed}


def at_least(name: str, group: str, value: float, limit: float, **texts: str) -> Gate:
    """A gate that wants `limit` or more."""
    return _gate(name, group, value, limit, AT_LEAST, texts)


def at_most(name: str, group: str, value: float | None, limit: float, **texts: str) -> Gate:
    """A gate that wants `limit` or less."""
    return _gate(name, group, value, limit, AT_MOST, texts)


def _gate(name: str, group: str, value: float | None, limit: float, sign: str, texts: Mapping[str, str]) -> Gate:
    """Make a gate; `texts` may hold `format`, `found` (what is the case), `do` (what helps if it fails), `setting`."""
    kind, setting = texts.get("format", "count"), texts.get("setting", "")
    found = texts.get("found", f"{shown(value, kind)}, limit {shown(limit, kind)}")
    gate = Gate(name, group, value, limit, sign, kind, found, setting)
    return gate if gate.passed else replace(gate, message=failed_message(found, texts.get("do", ""), setting))


def failed_message(found: str, do: str, setting: str) -> str:
    """Put together what is the case, what to do, and the setting that bears on it."""
    told = f"{found}: {do}" if do else found
    return f"{told}; the setting is {setting}" if setting else told
