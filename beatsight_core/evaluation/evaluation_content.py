"""The content of an evaluation: what `metrics.json` holds, and what has files of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from beatsight_core.evaluation.bootstrap import Intervals
from beatsight_core.evaluation.breakdown import GroupScores
from beatsight_core.evaluation.calibration import Calibration
from beatsight_core.evaluation.compare_models import RivalComparison
from beatsight_core.evaluation.confusion import Confusion, WatchedPair
from beatsight_core.evaluation.label_errors import CONFIDENT, LabelErrors
from beatsight_core.evaluation.mistakes import Mistake
from beatsight_core.evaluation.subject import EvaluationIdentity
from beatsight_core.gates.gate import GateRow
from beatsight_core.metrics import Metrics


@dataclass(frozen=True, slots=True)
class LabelErrorCount:
    """Likely label errors, counted; `label_errors.json` lists them.

    Attributes:
        confident: Confidence from which a mistake counts as confident.
        checkpoints: Name -> digest of the checkpoints that were asked beside the best.
        asked: Number of hits that they were asked about.
        suspects: Number of likely errors.
    """

    confident: float = CONFIDENT
    checkpoints: Mapping[str, str] = field(default_factory=dict)
    asked: int = 0
    suspects: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation(EvaluationIdentity):
    """The content of `metrics.json`. Earlier formats lack some of it.

    Attributes:
        made_at: Time in UTC.
        against: Comparison with each rival.
        metrics: Figures of the run on the hits.
        intervals: Intervals of the figures.
        calibration: Reliability of the probabilities.
        breakdown: Kind of group -> scores of its groups.
        pairs: Name of a watched pair -> its confusions.
        learned_hits: Number of hits that the run trained or tuned on; None where that is not known.
        label_errors: Count of likely label errors.
        curves: Gates on the run's loss curves.
    """

    made_at: str
    against: tuple[RivalComparison, ...] = ()
    metrics: Metrics
    intervals: Intervals
    calibration: Calibration
    breakdown: Mapping[str, tuple[GroupScores, ...]] = field(default_factory=dict)
    pairs: Mapping[str, WatchedPair]
    learned_hits: int | None = None
    label_errors: LabelErrorCount = LabelErrorCount()
    curves: tuple[GateRow, ...] = ()


@dataclass(frozen=True, slots=True)
class MeasuredEvaluation:
    """Everything that an evaluation found.

    Attributes:
        content: Content of `metrics.json`.
        confusion: Matrix of confusions.
        mistakes: Most confident mistakes, surest first.
        mistakes_by_class: Label -> its most confident mistakes.
        label_errors: Likely label errors.
    """

    content: Evaluation
    confusion: Confusion
    mistakes: tuple[Mistake, ...]
    mistakes_by_class: Mapping[str, tuple[Mistake, ...]]
    label_errors: LabelErrors
