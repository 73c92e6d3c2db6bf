"""The criteria of a promotion: what a candidate is held against, one gate each. `ALL` lists them in order.

The upper half makes gates of figures and computes nothing else; the lower half says where the figures come from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING

from beatsight_core.gates.gate import Cell, DetailRow, Gate, Limit, at_most
from beatsight_core.taxonomy import MIN_POSITIVES, PROTECTED

if TYPE_CHECKING:  # the list of criteria is read where definitions are loaded; what measures them is not needed there
    from beatsight_core.evaluation.compare_models import Change
    from beatsight_core.metrics import ClassScores, Metrics, Scores
    from beatsight_core.promotion.champion_comparison import Difference
    from beatsight_core.promotion.evidence import Evidence
    from beatsight_core.settings import Settings

TOLERANCE_EXPORT = 1e-3
"""An exported model's probabilities may differ from the trained one's by this much."""

_TITLES = {
    "accuracy": "accuracy",
    **{f"f1_{label}": f"F1 of {label}" for label in PROTECTED},
    "loss": "validation loss",
    "exact_match": "exact match",
}


@dataclass(frozen=True, slots=True)
class JudgingContext:
    """Everything that a criterion may look at.

    Attributes:
        settings: Settings with all limits.
        evidence: Candidate with its evaluations and its export.
        champion: Version that the candidate is compared with; None if there is none.
        device: Device on which that version is asked about the same hits.
    """

    settings: Settings
    evidence: Evidence
    champion: int | None
    device: str


@dataclass(frozen=True, slots=True)
class Criterion:
    """One criterion of a promotion.

    Attributes:
        name: Name of its gate, stable for scripts.
        text: Sentence that says what it asks for, as the check in the web UI shows it.
        judge: Function that measures it and gives its gate.
        can_be_forced: False where no reason promotes a model against it: one that is not the model judged, or that
            does not load and agree elsewhere.
    """

    name: str
    text: str
    judge: Callable[[JudgingContext], Gate]
    can_be_forced: bool = True


def figure_gate(name: str, metrics: Metrics, limit: Limit) -> Gate:
    """Return the gate of a criterion that is one figure: accuracy, F1 of a protected component, loss, exact match.

    Args:
        name: Name of the figure, a key of `_TITLES`.
        metrics: Figures of the candidate.
        limit: Limit of the figure.
    """
    from beatsight_core.metrics import ClassScores
    from beatsight_core.promotion.champion_comparison import protected_label

    value, rows, few = _value_of(name, metrics), _figure_rows(name, metrics), ""
    if name.startswith("f1_"):
        label = protected_label(name.removeprefix("f1_"), metrics.per_class)
        scores = metrics.per_class[label] if label else ClassScores()
        value, few = scores.f1, _few(scores.positives)
        rows = ({"component": label, **_cells(scores)},) if label else ()
    shown = "was not measured: none of its hits were evaluated" if value is None else f"is {value:.4f}"
    asked = "as" if limit.is_met_by(value) else "but"
    found = f"{_TITLES[name]} {shown}, {asked} {limit.sign} {limit.value:g} is asked for{few}"
    setting = f"gates.promotion.{name}"
    return Gate(name, value, limit, found, title=_TITLES[name], format="decimal", setting=setting, details=rows)


def no_class_worse(changes: Mapping[str, Change | Difference], compared_with: str | None) -> Gate:
    """Return the gate that no protected component is worse than the champion's beyond its bootstrap interval.

    Args:
        changes: Protected label -> change of its F1 against the champion's.
        compared_with: Name of the champion in messages; None before the first.
    """
    worse = {label: change for label, change in changes.items() if _is_worse(change)}
    if compared_with is None:
        message = "there is no champion to compare with yet"
    elif worse:
        message = f"worse than {compared_with}: " + ", ".join(_told(label, change) for label, change in worse.items())
    else:
        message = f"against {compared_with}: " + ", ".join(_told(label, change) for label, change in changes.items())
    rows = [_change_row(label, change) for label, change in changes.items()]
    return _counted("no_class_worse", "protected components worse than the champion", len(worse), message, rows)


def slice_again(gates: Sequence[Gate], too_rare: Sequence[str] = ()) -> Gate:
    """Return the gate that a part of the validation hits, evaluated once more, is heard as a probe must be.

    Args:
        gates: Gates on the slice's metrics, as `probe_gates.figure_gates` gives them.
        too_rare: Cymbals and toms that nobody judged, as `probe_gates.too_rare` names them.
    """
    failed = [gate.message for gate in gates if not gate.passed]
    message = "; ".join(failed) or f"accuracy and {len(gates) - 1} cymbals and toms are heard in it"
    message += f"; too rare in it to be judged: {', '.join(too_rare)}" if too_rare else ""
    rows = [
        {"name": gate.name, "value": gate.value, "limit": gate.limit.value, "passed": gate.passed} for gate in gates
    ]
    return _counted("slice_0.3", "gates not met on the 0.3 slice", len(failed), message, rows, setting="gates.probe")


def evaluation_matches(mismatches: list[str], rows: Iterable[DetailRow] = ()) -> Gate:
    """Return the gate that the evaluation was made from exactly this checkpoint, dataset and spec.

    Args:
        mismatches: Sentences, one for each thing that does not belong.
        rows: Rows of what was compared.
    """
    message = "; ".join(mismatches) or "checkpoint, dataset, spec and thresholds are those evaluated"
    return _counted(
        "evaluation_matches", "evaluated things that are not the candidate's", len(mismatches), message, rows
    )


def exported_model(difference: float | None, message: str, rows: Iterable[DetailRow] = ()) -> Gate:
    """Return the gate that the exported model loads elsewhere and agrees with the trained one.

    Args:
        difference: Greatest difference of a probability over all exported forms; None if one did not load.
        message: Finding in words.
        rows: Rows with the difference of each form.
    """
    title, limit = "difference of the exported model", at_most(TOLERANCE_EXPORT)
    return Gate("exported_model", difference, limit, message, title=title, format="number", details=tuple(rows))


def _value_of(name: str, metrics: Scores) -> float | None:
    value: float | None = getattr(metrics, name, None)
    return value


def _figure_rows(name: str, metrics: Metrics) -> tuple[DetailRow, ...]:
    """Return the same figure on all, on solo and on simultaneous hits."""
    parts = {"all": metrics, "solo": metrics.solo, "simultaneous": metrics.simultaneous}
    return tuple({"hits": part, "count": scores.hits, name: _value_of(name, scores)} for part, scores in parts.items())


def _cells(scores: ClassScores) -> dict[str, Cell]:
    return {field.name: getattr(scores, field.name) for field in fields(scores)}


def _change_row(label: str, change: Change | Difference) -> DetailRow:
    from beatsight_core.evaluation.compare_models import Change

    row: dict[str, Cell] = {"component": label}
    if isinstance(change, Change):
        row |= {"before": change.before, "after": change.after}
    return {**row, "difference": change.difference, "low": change.low, "high": change.high}


def _few(positives: int) -> str:
    """Return what is said of a component's F1 that rests on few strokes."""
    few = 0 < positives < MIN_POSITIVES
    return f"; only {positives} evaluated hits hold it: much of it is chance" if few else ""


def _counted(
    name: str, title: str, count: int, message: str, rows: Iterable[DetailRow] = (), *, setting: str = ""
) -> Gate:
    return Gate(name, float(count), at_most(0.0), message, title=title, setting=setting, details=tuple(rows))


def _is_worse(change: Change | Difference) -> bool:
    """Return whether even the favourable end of the interval is a loss; without one, whether there is a loss."""
    end = change.high if change.high is not None else change.difference
    return end is not None and end < 0


def _told(label: str, change: Change | Difference) -> str:
    if change.difference is None:
        return f"{label} not measured"
    span = "" if change.low is None else f" (95 %: {change.low:+.3f} to {change.high:+.3f})"
    return f"{label} {change.difference:+.3f}{span}"


def _judge_figure(name: str, asked: JudgingContext) -> Gate:
    from beatsight_core.gates.release_limits import limits_for

    return figure_gate(name, asked.evidence.whole.metrics, limits_for(asked.settings)[name])


def _against_champion(asked: JudgingContext) -> Gate:
    from beatsight_core.promotion.champion_comparison import against_champion
    from beatsight_core.runs.lookup import verified_version

    folder = None if asked.champion is None else verified_version(asked.settings, asked.champion)
    found = asked.evidence
    changes = against_champion(folder, asked.champion, found.whole.predictions, found.features, asked.device)
    return no_class_worse(changes.f1, changes.compared_with)


def _slice(asked: JudgingContext) -> Gate:
    from beatsight_core.gates.release_limits import probe_limits
    from beatsight_core.promotion.probe_gates import figure_gates, too_rare

    limits = probe_limits(asked.settings)
    again = asked.evidence.part.predictions.metrics(limits.min_positives)
    return slice_again(figure_gates(again, limits), too_rare(again, limits))


def _evaluation(asked: JudgingContext) -> Gate:
    from beatsight_core.promotion.matching import compared_digests, mismatches

    found = asked.evidence
    wrong = mismatches(found.trained, found.features, found.whole, found.part)
    return evaluation_matches(wrong, compared_digests(found.trained, found.features, found.whole.content))


def _export(asked: JudgingContext) -> Gate:
    from beatsight_core.promotion.delivery import export_model

    trained, export = asked.evidence.trained, asked.evidence.export
    if other := export_model.not_of_run(trained, export):
        return exported_model(None, f"the export is not the run's: {', '.join(other)}; delete it: {export}")
    answer = export_model.check_in_fresh_process(export)
    if "error" in answer:
        return exported_model(None, f"the export does not load in a fresh process: {answer['error']}")
    worst = max(answer["differences"].values())
    told = ", ".join(f"{name} {value:.1e}" for name, value in answer["differences"].items())
    rows = [
        {"form": name, "difference": value if math.isfinite(value) else None}
        for name, value in answer["differences"].items()
    ]
    found = f"greatest difference of a probability in a fresh process: {told}"
    return exported_model(worst if math.isfinite(worst) else None, found, rows)


_FIGURES = {
    "accuracy": "Accuracy (micro-F1 over components) on val.",
    **{f"f1_{label}": f"F1 of {label}." for label in PROTECTED},
    "loss": "Validation loss.",
    "exact_match": "The predicted set equals the labelled set.",
}

ALL: tuple[Criterion, ...] = (
    *(Criterion(name, text, partial(_judge_figure, name)) for name, text in _FIGURES.items()),
    Criterion(
        "no_class_worse",
        "No protected class is worse than the champion's beyond its interval.",
        _against_champion,
    ),
    Criterion(
        "slice_0.3",
        "A 0.3 slice of val, evaluated again, is heard as a probe must be: every cymbal and tom.",
        _slice,
    ),
    Criterion(
        "evaluation_matches",
        "The evaluation was made from exactly this checkpoint, dataset and feature spec.",
        _evaluation,
        can_be_forced=False,
    ),
    Criterion(
        "exported_model",
        "The exported model loads elsewhere and agrees with the trained one.",
        _export,
        can_be_forced=False,
    ),
)
"""Every criterion, in the order they are judged. Whoever adds one adds it here, and to docs/judgement.md."""

CRITERIA = tuple(criterion.name for criterion in ALL)
UNFORCEABLE = tuple(criterion.name for criterion in ALL if not criterion.can_be_forced)
