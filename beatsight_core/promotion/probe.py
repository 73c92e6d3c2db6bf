"""Is a warm-up probe good enough to spend a long run on? The gate between the two, judged from the probe's own record.

A check in a user interface holds back only what is started together with it, so the long run asks here itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from beatsight_core.errors import GateError
from beatsight_core.metrics import MIN_POSITIVES
from beatsight_core.promotion.candidate import newest_run
from beatsight_core.settings import Settings
from beatsight_core.taxonomy import GROUPS

WATCHED_GROUPS = ("cymbals", "toms")
"""Groups whose components must each be heard: a recall of zero says that the data are still too sparse."""


@dataclass(frozen=True, slots=True)
class ProbeLimits:
    """What a probe must reach.

    Attributes:
        accuracy: Least micro-F1 over components.
        recall: Recall that every watched component must exceed.
        min_positives: Validation hits that a component needs to be judged.
    """

    accuracy: float
    recall: float
    min_positives: int = MIN_POSITIVES


PROFILES: Mapping[str, ProbeLimits] = {
    "production": ProbeLimits(accuracy=0.72, recall=0.25),
    "demo": ProbeLimits(accuracy=0.40, recall=0.0),
}
"""Gates profile -> limits. The demo's data are too few to hear every cymbal after eight short epochs."""


@dataclass(frozen=True, slots=True)
class ProbeGate:
    """One judgement.

    Attributes:
        name: "accuracy", or "recall_<component>".
        value: What the probe reached; None if it was not measured.
        limit: What it had to reach.
        passed: Whether it did.
        margin: value - limit.
        message: The same in words.
    """

    name: str
    value: float | None
    limit: float
    passed: bool
    margin: float | None
    message: str

    def to_json(self) -> dict[str, Any]:
        """All attributes."""
        return {name: getattr(self, name) for name in ProbeGate.__slots__}


def probe_gate(metrics: Mapping[str, Any], profile: str = "production") -> list[ProbeGate]:
    """Judge a probe's validation metrics.

    Args:
        metrics: As `multilabel_metrics` gives them.
        profile: "production" or "demo".

    Returns:
        The accuracy first, then one gate for each cymbal and tom with enough hits, in class order.
    """
    limits = PROFILES[profile]
    gates = [_judge("accuracy", metrics.get("accuracy"), limits.accuracy, may_equal=True)]
    prefixes = tuple(prefix for group in WATCHED_GROUPS for prefix in GROUPS[group])
    for label, scores in (metrics.get("per_class") or {}).items():
        if label.startswith(prefixes) and scores["positives"] >= limits.min_positives:
            gates.append(_judge(f"recall_{label}", scores["recall"], limits.recall, may_equal=False))
    return gates


def require_probe(settings: Settings, key: str) -> list[ProbeGate]:
    """Let a long run pass only behind a healthy probe of the same manifest.

    Args:
        settings: Whose gates profile holds.
        key: The manifest's key.

    Returns:
        The gates of the newest finished probe, all passed.

    Raises:
        GateError: There is no finished probe, or its gates failed; the message lists them.
    """
    run = newest_run(settings, key, preset="warmup")
    if run is None:
        raise GateError(
            "There is no finished warm-up probe of this manifest", where=key, do="run the probe first (job `probe`)"
        )
    gates = probe_gate((run.metrics or {})["metrics"], settings.gates.profile)
    failed = [gate.message for gate in gates if not gate.passed]
    if failed:
        raise GateError(
            "The warm-up probe is not healthy: " + "; ".join(failed),
            where=run.run_id,
            do="look at its evaluation report and at the data's health; a long run would not mend it",
        )
    return gates


def _judge(name: str, value: float | None, limit: float, *, may_equal: bool) -> ProbeGate:
    passed = value is not None and (value >= limit if may_equal else value > limit)
    said = "was not measured" if value is None else f"is {value:.3f}"
    message = f"{name.replace('_', ' ', 1)} {said}, must be {'at least' if may_equal else 'above'} {limit:g}"
    return ProbeGate(name, value, limit, passed, None if value is None else value - limit, message)
