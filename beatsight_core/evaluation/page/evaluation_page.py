"""An evaluation as a page: its figures in the rows and sentences that the template shows. Computes no metric."""

from collections.abc import Mapping, Sequence

from beatsight_core.evaluation.bootstrap import Interval, Intervals
from beatsight_core.evaluation.calibration import ReliabilityBin
from beatsight_core.evaluation.confusion import met
from beatsight_core.evaluation.evaluation_content import Evaluation, MeasuredEvaluation
from beatsight_core.evaluation.page.clips import HitClip
from beatsight_core.evaluation.page.comparison_parts import comparisons
from beatsight_core.evaluation.page.mistake_cards import mistake_cards, mistakes_by_component, suspect_cards
from beatsight_core.gates.gate import Gate, GateRow
from beatsight_core.metrics import Metrics
from beatsight_core.pages.page import render_page
from beatsight_core.runs.records import EpochRecord
from beatsight_core.typed_json import JsonObject, to_json

FEW_SESSIONS = 10
"""With fewer sessions the page says that intervals mean little."""

SUSPECTS_SHOWN = 24
"""Likely label errors that are shown; `label_errors.json` has all."""

_HEADLINE = (("accuracy", "accuracy"), ("exact_match", "exact match"), ("macro_f1", "macro-F1"))
_INTERVALS = (*_HEADLINE, ("top1_in_set", "surest was struck"), ("macro_ap", "macro-AP"), ("loss", "loss"))


def evaluation_page(measured: MeasuredEvaluation, history: Sequence[EpochRecord], clips: Mapping[int, HitClip]) -> str:
    """Return the report of one evaluation as a whole HTML document.

    Args:
        measured: Everything that the evaluation found.
        history: Epochs of the run, with `train_loss` and `val_loss`.
        clips: Clips of mistakes, by their `row`.
    """
    content, confusion = measured.content, measured.confusion
    metrics, intervals = content.metrics, content.intervals
    blocks = {"all": metrics, "one component": metrics.solo, "several components": metrics.simultaneous}
    return render_page(
        "evaluation.html",
        title=f"Run {content.run_id}",
        lead=_lead(content),
        about={"hits": metrics.hits, "sessions": intervals.sessions},
        tiles=_tiles(metrics, intervals),
        notices=_notices(content),
        metrics=metrics,
        blocks=[{"what": name, **to_json(block)} for name, block in blocks.items()],
        intervals=[{"what": title, **to_json(getattr(intervals, name))} for name, title in _INTERVALS],
        class_intervals=_class_intervals(content),
        classes=_classes(content),
        confusion=confusion,
        heatmap=met(confusion),
        pairs=[{"pair": name, **to_json(figures)} for name, figures in confusion.pairs.items()],
        breakdown=[(kind.replace("_", " "), groups) for kind, groups in content.breakdown.items()],
        comparisons=comparisons(content.against),
        calibration=content.calibration,
        reliability=[(row.mean_probability, row.share_struck) for row in _filled(content.calibration.bins)],
        history=_loss_curves(history),
        verdicts=_verdicts(content.curves),
        mistakes=mistake_cards(measured.mistakes, clips),
        label_errors=measured.label_errors,
        suspects=suspect_cards(measured.label_errors.suspects[:SUSPECTS_SHOWN], clips),
        shelves=mistakes_by_component(measured.mistakes_by_class, clips, metrics.per_class),
        provenance=_provenance(content),
    )


def _lead(content: Evaluation) -> str:
    part = "all hits" if content.split == "all" else f"split {content.split}"
    share = f", a stratified {content.fraction:.0%} of it" if content.fraction else ""
    trained = f"Trained by preset {content.preset} on {content.trained_on}"
    return f"Evaluated on {content.on}, {part}{share}. {trained}."


def _tiles(metrics: Metrics, intervals: Intervals) -> list[dict[str, str]]:
    return [
        {"label": title, "value": _figure(getattr(metrics, name)), "note": _span(getattr(intervals, name))}
        for name, title in (*_HEADLINE, ("loss", "loss"))
    ]


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _span(interval: Interval) -> str:
    if interval.low is None:
        return "no interval: one session"
    return f"95 %: {interval.low:.3f} to {interval.high:.3f}"


def _notices(content: Evaluation) -> list[dict[str, str]]:
    notices = []
    sessions = content.intervals.sessions
    if sessions < FEW_SESSIONS:
        notices.append(
            {"state": "warn", "text": f"Only {sessions} sessions were evaluated: the intervals cannot be relied on."}
        )
    scores = content.metrics.per_class
    rare = [label for label, row in scores.items() if not row.averaged]
    if rare:
        notices.append({"state": "info", "text": f"Too rare here to be averaged: {', '.join(rare)}."})
    deaf = [label for label, row in scores.items() if row.averaged and not row.recall]
    if deaf:
        notices.append({"state": "warn", "text": f"Never recognised: {', '.join(deaf)}."})
    wrong = [gate.name.replace("_", " ") for gate in map(Gate.from_json, content.curves) if not gate.passed]
    if wrong:
        notices.append({"state": "warn", "text": f"The run's curves do not look like learning: {', '.join(wrong)}."})
    return sorted([*_learned(content), *notices], key=lambda notice: notice["state"] != "warn")


def _learned(content: Evaluation) -> list[dict[str, str]]:
    """Return the notice of hits that the model trained or tuned on; they flatter it, whatever manifest names them."""
    learned, hits = content.learned_hits, content.metrics.hits
    if learned is None:
        gone = f"the features of {content.trained_on} are gone"
        return [{"state": "info", "text": f"Whether the model learned from these hits is not known: {gone}."}]
    if not learned:
        return []
    text = f"The model learned from {learned:,} of the {hits:,} hits that it is asked about here: figures flatter it."
    return [{"state": "warn", "text": text}]


def _classes(content: Evaluation) -> list[JsonObject]:
    metrics, rows = content.metrics, []
    for label, scores in metrics.per_class.items():
        if not scores.positives and scores.precision is None:
            continue
        interval = content.intervals.f1[label]
        rows.append(
            {
                "label": label,
                **to_json(scores),
                "low": interval.low,
                "high": interval.high,
                "solo_f1": metrics.solo.per_class[label].f1,
                "simultaneous_f1": metrics.simultaneous.per_class[label].f1,
                "threshold": content.thresholds[label],
            }
        )
    return rows


def _class_intervals(content: Evaluation) -> list[JsonObject]:
    """Return precision, recall and AP of each component in the reference, each with its interval."""
    intervals = content.intervals
    named = {"precision": intervals.precision, "recall": intervals.recall, "ap": intervals.ap}
    rows: list[JsonObject] = []
    for label, scores in content.metrics.per_class.items():
        if scores.positives:
            parts = {name: to_json(by_label[label]) for name, by_label in named.items()}
            cells = {f"{name}_{end}": value for name, part in parts.items() for end, value in part.items()}
            rows.append({"label": label, **cells})
    return rows


def _filled(bins: Sequence[ReliabilityBin]) -> list[ReliabilityBin]:
    return [row for row in bins if row.pairs]


def _loss_curves(history: Sequence[EpochRecord]) -> list[dict[str, str | list[tuple[int, float]]]]:
    train = [(row["epoch"], row["train_loss"]) for row in history if row.get("train_loss") is not None]
    val = [(row["epoch"], row["val_loss"]) for row in history if row.get("val_loss") is not None]
    return [{"title": "training", "points": train}, {"title": "validation", "points": val}]


def _verdicts(curves: Sequence[GateRow]) -> list[dict[str, str]]:
    """Return what the checks of a run's curves say, what failed first."""
    gates = sorted(map(Gate.from_json, curves), key=lambda gate: gate.passed)
    return [
        {"state": "pass" if gate.passed else "fail", "text": f"{gate.name.replace('_', ' ')}: {gate.message}"}
        for gate in gates
    ]


def _provenance(content: Evaluation) -> list[dict[str, str]]:
    pairs = [
        ("run", content.run_id),
        ("evaluation", content.evaluation_id),
        *((f"{name} digest", digest) for name, digest in content.digests.items()),
        ("made", content.made_at),
        ("resamples", f"{content.intervals.resamples}, seed {content.intervals.seed}"),
    ]
    return [{"name": name, "value": value} for name, value in pairs]
