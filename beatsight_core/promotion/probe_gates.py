"""Is a warm-up probe good enough to spend a long run on? The gates between the two, figures in, rows out.

Accuracy, and the recall of every cymbal and tom with enough hits; the watched confusions, which may not have grown
against the previous probe; and the loss curves (`runs.curve_checks`). `probe_record` judges by them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from beatsight_core.gates.release_limits import ProbeLimits
from beatsight_core.taxonomy import GROUPS

WATCHED_GROUPS = ("cymbals", "toms")
"""Groups whose components must each be heard: a recall of zero says that the data are still too sparse."""

SETTINGS = "gates.probe"
"""The table of settings that holds the limits."""

CHANCE = 2.0
"""Standard errors by which the difference of two rates of confusion may stray without meaning anything."""


@dataclass(frozen=True, slots=True)
class ProbeGate:
    """One judgement.

    Attributes:
        name: "accuracy", "recall_<component>" or "confusion_<pair>".
        value: What the probe reached; None if it was not measured.
        limit: What it had to reach.
        passed: Whether it did.
        margin: Distance to the limit, positive on the good side.
        message: The same in words.
        sign: How the value must stand to the limit.
        format: How both are written, a name in `pages.formats.FORMATS`.
        setting: Name of the setting that holds the limit.
    """

    name: str
    value: float | None
    limit: float
    passed: bool
    margin: float | None
    message: str
    sign: str
    format: str
    setting: str

    def to_json(self) -> dict[str, Any]:
        """All attributes."""
        return {name: getattr(self, name) for name in ProbeGate.__slots__}


def figure_gates(metrics: Mapping[str, Any], limits: ProbeLimits) -> list[ProbeGate]:
    """Judge metrics on validation hits.

    Args:
        metrics: As `multilabel_metrics` gives them.
        limits: What they must reach.

    Returns:
        The accuracy first, then one gate for each cymbal and tom with enough hits, in class order.
    """
    gates = [_judge("accuracy", metrics.get("accuracy"), limits.accuracy, may_equal=True)]
    for label, scores in _watched(metrics).items():
        if scores["positives"] >= limits.min_positives:
            gates.append(_judge(f"recall_{label}", scores["recall"], limits.recall, may_equal=False))
    return gates


def too_rare(metrics: Mapping[str, Any], limits: ProbeLimits) -> list[str]:
    """The cymbals and toms that have too few hits for a gate, in class order: whoever reads a verdict should know."""
    return [label for label, scores in _watched(metrics).items() if scores["positives"] < limits.min_positives]


def _watched(metrics: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The scores of every cymbal and tom."""
    prefixes = tuple(prefix for group in WATCHED_GROUPS for prefix in GROUPS[group])
    scores = metrics.get("per_class") or {}
    return {label: scores[label] for label in scores if label.startswith(prefixes)}


def confusion_gates(
    before: Mapping[str, Mapping[str, Any]] | None, after: Mapping[str, Mapping[str, Any]], limits: ProbeLimits
) -> list[ProbeGate]:
    """Have the watched confusions grown? By their rate per stroke, beyond what chance explains.

    The standard error of the difference of two shares p of n is sqrt(p1 (1 - p1) / n1 + p2 (1 - p2) / n2); a growth of
    `CHANCE` of them, and `max_confusion_growth` on top, passes.

    Args:
        before: Pair -> `confusion.watched_pair` of the previous probe; None if there is none.
        after: The same of this one.
        limits: Hold `max_confusion_growth`.
    """
    return [_confusion(name, (before or {}).get(name), pair, limits) for name, pair in after.items()]


def _confusion(name: str, before: Mapping[str, Any] | None, after: Mapping[str, Any], limits: ProbeLimits) -> ProbeGate:
    gate, allowed = f"confusion_{name.replace(' ', '_')}", limits.max_confusion_growth
    shape = ("≤", "share", f"{SETTINGS}.max_confusion_growth")
    said = f"{name}: taken for each other in {_share(after['rate'])} of {after['struck']:,} strokes"
    if before is None or before["rate"] is None or after["rate"] is None:
        return ProbeGate(gate, 0.0, allowed, True, allowed, f"{said}; nothing earlier to compare with", *shape)
    error = math.sqrt(sum(pair["rate"] * (1 - pair["rate"]) / pair["struck"] for pair in (before, after)))
    growth, limit = after["rate"] - before["rate"], allowed + CHANCE * error
    message = f"{said}, before in {_share(before['rate'])}; may grow by {limit:.2%}, as chance and settings allow"
    return ProbeGate(gate, growth, limit, growth <= limit, limit - growth, message, *shape)


def _share(rate: float | None) -> str:
    return "none" if rate is None else f"{rate:.2%}"


def _judge(name: str, value: float | None, limit: float, *, may_equal: bool) -> ProbeGate:
    passed = value is not None and (value >= limit if may_equal else value > limit)
    said = "was not measured" if value is None else f"is {value:.3f}"
    message = f"{name.replace('_', ' ', 1)} {said}, must be {'at least' if may_equal else 'above'} {limit:g}"
    margin = None if value is None else value - limit
    setting = f"{SETTINGS}.{name.partition('_')[0]}"
    return ProbeGate(name, value, limit, passed, margin, message, "≥" if may_equal else ">", "decimal", setting)
