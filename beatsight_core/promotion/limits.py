"""What a candidate must reach: the limits of each profile, and how settings may tighten them. Pure numbers."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from beatsight_core.errors import SettingsError
from beatsight_core.settings import Settings

PROTECTED = ("kick", "snare", "crash")
"""The components that the runbook names: each has an F1 of its own to reach, and none may get worse than the
champion's. The extended set's spellings of them (snare_center, crash_1) are found by its aliases."""

DEMO_NOTICE = "demo profile: not for production"


@dataclass(frozen=True, slots=True)
class Limit:
    """The limit of one figure.

    Attributes:
        value: The limit.
        sign: "≥", ">" or "≤": how a figure must stand to it.
    """

    value: float
    sign: str

    def is_met_by(self, figure: float | None) -> bool:
        """Whether a figure meets it; one that was not measured does not."""
        if figure is None:
            return False
        return {"≥": figure >= self.value, ">": figure > self.value, "≤": figure <= self.value}[self.sign]

    def margin(self, figure: float | None) -> float | None:
        """Distance to the limit, positive on the good side."""
        if figure is None:
            return None
        return self.value - figure if self.sign == "≤" else figure - self.value

    def is_loosened_by(self, value: float) -> bool:
        """Whether `value` as the limit would let more pass."""
        return value > self.value if self.sign == "≤" else value < self.value


def _profile(accuracy: float, f1: float, loss: float, exact_match: float) -> dict[str, Limit]:
    return {
        "accuracy": Limit(accuracy, "≥"),
        **{f"f1_{label}": Limit(f1, ">") for label in PROTECTED},
        "loss": Limit(loss, "≤"),
        "exact_match": Limit(exact_match, "≥"),
    }


PROFILES = {
    "production": _profile(accuracy=0.93, f1=0.90, loss=0.45, exact_match=0.80),
    "demo": _profile(accuracy=0.80, f1=0.75, loss=0.45, exact_match=0.60),
}
"""Profile -> figure -> limit."""


def limits_for(settings: Settings) -> dict[str, Limit]:
    """The limits that hold: the profile's, tightened by `[gates.promotion]`; `f1` there stands for all three F1.

    Raises:
        SettingsError: A value would loosen a limit, is impossible, or names no figure; all problems in one message.
    """
    limits = dict(PROFILES[settings.gates.profile])
    problems: list[str] = []
    for name, value in _spelled_out(settings.gates.promotion).items():
        if name not in limits:
            close = difflib.get_close_matches(name, limits, 1)
            problems.append(f"there is no criterion {name}" + (f" (did you mean {close[0]}?)" if close else ""))
        elif limits[name].is_loosened_by(value):
            problems.append(f"{name} = {value:g} is looser than the profile's {limits[name].value:g}")
        elif not 0 <= value <= 1:
            problems.append(f"{name} = {value:g} cannot be reached")
        else:
            limits[name] = Limit(value, limits[name].sign)
    if problems:
        raise SettingsError(
            "Promotion criteria are wrong: " + "; ".join(problems),
            where=settings.file,
            do="gates.promotion may only tighten: mend these; gates.profile = 'demo' is there for trying things out",
        )
    return limits


def profile_notice(settings: Settings) -> str | None:
    """What every record, card and listing says of a profile that is not production's."""
    return DEMO_NOTICE if settings.gates.profile == "demo" else None


def _spelled_out(given: Mapping[str, float]) -> dict[str, float]:
    whole: dict[str, Any] = {name: value for name, value in given.items() if name != "f1"}
    if "f1" in given:
        whole = {**{f"f1_{label}": given["f1"] for label in PROTECTED}, **whole}
    return whole
