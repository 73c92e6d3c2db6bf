"""The verdict on the figures of a corpus: every gate, those against the approved baseline among them.

It follows from figures, settings and baseline alone, so that a report on disk can be judged once more before it is
believed.
"""

from dataclasses import dataclass

from beatsight_core.gates.corpus_limits import profile_of
from beatsight_core.gates.gate import Gate
from beatsight_core.health.compare_baseline import Baseline, ClassChange, baseline_gates, class_changes
from beatsight_core.health.corpus_gates import evaluate_gates
from beatsight_core.health.drift import SourceDrift, drift, drift_gates
from beatsight_core.health.figures.statistics import CorpusFigures
from beatsight_core.settings import GateSettings


@dataclass(frozen=True, slots=True)
class CorpusVerdict:
    """The gates of a corpus.

    Attributes:
        own: Gates over the figures alone.
        compared: Gates against the baseline; none without one.
        changes: Hits of every class then and now; none without a baseline.
        drift: Drift of every source set since the baseline; none without one.
    """

    own: tuple[Gate, ...]
    compared: tuple[Gate, ...] = ()
    changes: tuple[ClassChange, ...] = ()
    drift: tuple[SourceDrift, ...] = ()

    @property
    def gates(self) -> tuple[Gate, ...]:
        """All gates."""
        return self.own + self.compared


def judge_figures(figures: CorpusFigures, settings: GateSettings, baseline: Baseline | None) -> CorpusVerdict:
    """Hold the figures of a corpus against all limits.

    Args:
        figures: Figures of the corpus.
        settings: Profile, and what is set over it.
        baseline: Approved report, if there is one.

    Raises:
        SettingsError: A minimum is set for a component that the taxonomy lacks.
    """
    own = tuple(evaluate_gates(figures, settings))
    if baseline is None:
        return CorpusVerdict(own)
    limits, before = profile_of(settings), baseline.statistics.hits
    changes, drifted = class_changes(figures.hits, before), drift(figures.hits, before)
    compared = baseline_gates(changes, own, baseline, limits) + drift_gates(drifted, limits)
    return CorpusVerdict(own, tuple(compared), changes, drifted)
