"""The verdict on the figures of a corpus: every gate, those against the blessed baseline among them.

It follows from figures, settings and baseline alone, so that a report on disk can be judged once more before it is
believed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from beatsight_core.gates.corpus_limits import profile_of
from beatsight_core.gates.gate import Gate
from beatsight_core.health.compare_baseline import baseline_gates, class_changes
from beatsight_core.health.corpus_gates import evaluate_gates
from beatsight_core.health.drift import drift, drift_gates
from beatsight_core.settings import GateSettings

_ABOUT = ("key", "sha256", "made", "seal", "blessing")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is thought of some figures.

    Attributes:
        own: Gates over the figures alone.
        compared: Gates against the baseline; none without one.
        against: What a report says of the baseline: `baseline` (which it is, or None), `changes` by class, `drift` by
            source set.
    """

    own: tuple[Gate, ...]
    compared: tuple[Gate, ...]
    against: Mapping[str, Any]

    @property
    def gates(self) -> tuple[Gate, ...]:
        """All of them."""
        return self.own + self.compared


def judge_figures(figures: Mapping[str, Any], settings: GateSettings, baseline: Mapping[str, Any] | None) -> Verdict:
    """Hold the figures of a corpus against all limits.

    Args:
        figures: As `statistics.statistics` gives them.
        settings: The profile, and what is set over it.
        baseline: From `compare_baseline.read_baseline`.

    Raises:
        SettingsError: A minimum is set for a component that the taxonomy lacks.
    """
    own = evaluate_gates(figures, settings)
    if baseline is None:
        return Verdict(tuple(own), (), {"baseline": None, "changes": [], "drift": []})
    limits = profile_of(settings)
    changes, drifted = class_changes(figures, baseline), drift(figures, baseline)
    compared = baseline_gates(changes, own, baseline, limits) + drift_gates(drifted, limits)
    about = {name: baseline.get(name) for name in _ABOUT}
    return Verdict(tuple(own), tuple(compared), {"baseline": about, "changes": changes, "drift": drifted})
