"""Is a warm-up probe good enough to spend a long run on? The gates between the two, figures in, rows out.

Accuracy, and the recall of every cymbal and tom with enough hits; the watched confusions, which may not have grown
against the previous probe by more than two standard errors of the difference; and the loss curves
(`runs.curve_checks`). `probe_record` judges by them.
"""

import math
from collections.abc import Mapping

from beatsight_core.evaluation.confusion import WatchedPair
from beatsight_core.gates.gate import ABOVE, Gate, Limit, above, at_least, at_most
from beatsight_core.gates.release_limits import ProbeLimits
from beatsight_core.metrics import ClassScores, Metrics
from beatsight_core.taxonomy import GROUPS

WATCHED_GROUPS = ("cymbals", "toms")
"""Groups whose components must each be heard: a recall of zero says that the data are still too sparse."""

SETTINGS = "gates.probe"
"""The table of settings that holds the limits."""

CHANCE = 2.0
"""Standard errors by which the difference of two rates of confusion may stray without meaning anything."""


def figure_gates(metrics: Metrics, limits: ProbeLimits) -> list[Gate]:
    """Judge metrics on validation hits.

    Args:
        metrics: Figures of the probe.
        limits: Limits of the figures.

    Returns:
        The accuracy first, then one gate for each cymbal and tom with enough hits, in class order.
    """
    gates = [_score("accuracy", "accuracy", metrics.accuracy, at_least(limits.accuracy))]
    for label, scores in _watched(metrics).items():
        if scores.positives >= limits.min_positives:
            gates.append(_score(f"recall_{label}", f"recall {label}", scores.recall, above(limits.recall)))
    return gates


def too_rare(metrics: Metrics, limits: ProbeLimits) -> list[str]:
    """Return the cymbals and toms that have too few hits for a gate, in class order; a verdict names them."""
    return [label for label, scores in _watched(metrics).items() if scores.positives < limits.min_positives]


def _watched(metrics: Metrics) -> dict[str, ClassScores]:
    """Return the scores of every cymbal and tom."""
    prefixes = tuple(prefix for group in WATCHED_GROUPS for prefix in GROUPS[group])
    return {label: scores for label, scores in metrics.per_class.items() if label.startswith(prefixes)}


def confusion_gates(
    before: Mapping[str, WatchedPair] | None, after: Mapping[str, WatchedPair], limits: ProbeLimits
) -> list[Gate]:
    """Judge whether the watched confusions have grown, by their rate per stroke, beyond what chance explains.

    The standard error of the difference of two shares p of n is sqrt(p1 (1 - p1) / n1 + p2 (1 - p2) / n2); a growth of
    `CHANCE` of them, and `max_confusion_growth` on top, passes.

    Args:
        before: Watched pairs of the previous probe, by name; None if there is none.
        after: Watched pairs of this one.
        limits: Limits, of which `max_confusion_growth` is used.
    """
    return [_confusion(name, (before or {}).get(name), pair, limits) for name, pair in after.items()]


def _confusion(name: str, before: WatchedPair | None, after: WatchedPair, limits: ProbeLimits) -> Gate:
    allowed = limits.max_confusion_growth
    found = f"{name}: taken for each other in {_share(after.rate)} of {after.struck:,} strokes"
    growth, limit = 0.0, allowed
    if before is None or before.rate is None or after.rate is None:
        found += "; nothing earlier to compare with"
    else:
        error = math.sqrt(_variance(before.rate, before.struck) + _variance(after.rate, after.struck))
        growth, limit = after.rate - before.rate, allowed + CHANCE * error
        found += f", before in {_share(before.rate)}; may grow by {limit:.2%}, as chance and settings allow"
    return Gate(
        f"confusion_{name.replace(' ', '_')}", growth, at_most(limit), found,
        title=f"confusion {name}", format="share", setting=f"{SETTINGS}.max_confusion_growth",
    )  # fmt: skip


def _variance(rate: float, count: int) -> float:
    return rate * (1 - rate) / count


def _share(rate: float | None) -> str:
    return "none" if rate is None else f"{rate:.2%}"


def _score(name: str, title: str, value: float | None, limit: Limit) -> Gate:
    measured = "was not measured" if value is None else f"is {value:.3f}"
    found = f"{title} {measured}, must be {'above' if limit.sign == ABOVE else 'at least'} {limit.value:g}"
    setting = f"{SETTINGS}.{name.partition('_')[0]}"
    return Gate(name, value, limit, found, title=title, format="decimal", setting=setting)
