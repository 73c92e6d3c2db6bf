"""An evaluation as a page: its figures in the rows and sentences that the template shows. Computes no metric."""

from collections.abc import Mapping, Sequence
from typing import Any

from beatsight_core.evaluation.confusion import met
from beatsight_core.evaluation.page.clips import HitClip
from beatsight_core.evaluation.page.comparison_parts import comparisons
from beatsight_core.evaluation.page.mistake_cards import mistake_cards, mistake_shelves, suspect_cards
from beatsight_core.pages.page import render_page

FEW_SESSIONS = 10
"""With fewer sessions the page says that intervals mean little."""

SUSPECTS_SHOWN = 24
"""Likely label errors that are shown; `label_errors.json` has all."""

_BLOCKS = (("all", None), ("one component", "solo"), ("several components", "simultaneous"))
_HEADLINE = (("accuracy", "accuracy"), ("exact_match", "exact match"), ("macro_f1", "macro-F1"))
_INTERVALS = (*_HEADLINE, ("top1_in_set", "surest was struck"), ("macro_ap", "macro-AP"), ("loss", "loss"))


def evaluation_page(
    content: Mapping[str, Any], history: Sequence[Mapping[str, Any]], clips: Mapping[int, HitClip]
) -> str:
    """The report of one evaluation as a whole HTML document.

    Args:
        content: From `evaluate.measure`: what `metrics.json` holds, with confusion and mistakes beside.
        history: The run's epochs, with `train_loss` and `val_loss`.
        clips: Of mistakes, by their `row`.
    """
    metrics, intervals = content["metrics"], content["intervals"]
    return render_page(
        "evaluation.html",
        title=f"Run {content['run_id']}",
        lead=_lead(content),
        about={"hits": metrics["hits"], "sessions": intervals["sessions"]},
        tiles=_tiles(metrics, intervals),
        notices=_notices(content),
        metrics=metrics,
        blocks=[{"what": name, **(metrics[key] if key else metrics)} for name, key in _BLOCKS],
        intervals=[{"what": title, **intervals[name]} for name, title in _INTERVALS],
        class_intervals=_class_intervals(content),
        classes=_classes(content),
        confusion=content["confusion"],
        heatmap=met(content["confusion"]),
        pairs=[{"pair": name, **figures} for name, figures in content["confusion"]["pairs"].items()],
        breakdown=[(kind.replace("_", " "), rows) for kind, rows in content["breakdown"].items()],
        comparisons=comparisons(content["against"]),
        calibration=content["calibration"],
        reliability=[(row["mean_probability"], row["share_struck"]) for row in _filled(content["calibration"]["bins"])],
        history=_loss_curves(history),
        verdicts=_verdicts(content["curves"]),
        mistakes=mistake_cards(content["mistakes"], clips),
        label_errors=content["label_errors"],
        suspects=suspect_cards(content["label_errors"]["suspects"][:SUSPECTS_SHOWN], clips),
        shelves=mistake_shelves(content["mistakes_by_class"], clips, metrics["per_class"]),
        provenance=_provenance(content),
    )


def _lead(content: Mapping[str, Any]) -> str:
    part = "all hits" if content["split"] == "all" else f"split {content['split']}"
    share = f", a stratified {content['fraction']:.0%} of it" if content["fraction"] else ""
    trained = f"Trained by preset {content['preset']} on {content['trained_on']}"
    return f"Evaluated on {content['on']}, {part}{share}. {trained}."


def _tiles(metrics: Mapping[str, Any], intervals: Mapping[str, Any]) -> list[dict[str, Any]]:
    tiles = [
        {"label": title, "value": _figure(metrics[name]), "note": _span(intervals[name])} for name, title in _HEADLINE
    ]
    return [
        *tiles,
        {"label": "loss", "value": _figure(metrics["loss"]), "note": _span(intervals["loss"])},
    ]


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _span(interval: Mapping[str, Any]) -> str:
    if interval["low"] is None:
        return "no interval: one session"
    return f"95 %: {interval['low']:.3f} to {interval['high']:.3f}"


def _notices(content: Mapping[str, Any]) -> list[dict[str, str]]:
    notices = []
    sessions = content["intervals"]["sessions"]
    if sessions < FEW_SESSIONS:
        notices.append(
            {"state": "warn", "text": f"Only {sessions} sessions were evaluated: the intervals cannot be relied on."}
        )
    scores = content["metrics"]["per_class"]
    rare = [label for label, row in scores.items() if not row["averaged"]]
    if rare:
        notices.append({"state": "info", "text": f"Too rare here to be averaged: {', '.join(rare)}."})
    deaf = [label for label, row in scores.items() if row["averaged"] and not row["recall"]]
    if deaf:
        notices.append({"state": "warn", "text": f"Never recognised: {', '.join(deaf)}."})
    wrong = [row["name"].replace("_", " ") for row in content["curves"] if not row["passed"]]
    if wrong:
        notices.append({"state": "warn", "text": f"The run's curves do not look like learning: {', '.join(wrong)}."})
    return sorted([*_learned(content), *notices], key=lambda notice: notice["state"] != "warn")


def _learned(content: Mapping[str, Any]) -> list[dict[str, str]]:
    """Hits that the model trained or tuned on flatter it, whatever manifest they are asked from."""
    learned, hits = content["learned_hits"], content["metrics"]["hits"]
    if learned is None:
        gone = f"the features of {content['trained_on']} are gone"
        return [{"state": "info", "text": f"Whether the model learned from these hits is not known: {gone}."}]
    if not learned:
        return []
    text = f"The model learned from {learned:,} of the {hits:,} hits that it is asked about here: figures flatter it."
    return [{"state": "warn", "text": text}]


def _classes(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    metrics = content["metrics"]
    rows = []
    for label, scores in metrics["per_class"].items():
        if not scores["positives"] and scores["precision"] is None:
            continue
        interval = content["intervals"]["f1"][label]
        rows.append(
            {
                "label": label,
                **scores,
                "low": interval["low"],
                "high": interval["high"],
                "solo_f1": metrics["solo"]["per_class"][label]["f1"],
                "simultaneous_f1": metrics["simultaneous"]["per_class"][label]["f1"],
                "threshold": content["thresholds"][label],
            }
        )
    return rows


def _class_intervals(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Precision, recall and AP of each component that was struck, each with its interval."""
    struck = [label for label, row in content["metrics"]["per_class"].items() if row["positives"]]
    return [
        {
            "label": label,
            **{
                f"{name}_{end}": content["intervals"][name][label][end]
                for name in ("precision", "recall", "ap")
                for end in ("value", "low", "high")
            },
        }
        for label in struck
    ]


def _filled(bins: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [row for row in bins if row["pairs"]]


def _loss_curves(history: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"title": title, "points": [(row["epoch"], row[key]) for row in history if row.get(key) is not None]}
        for key, title in (("train_loss", "training"), ("val_loss", "validation"))
    ]


def _verdicts(curves: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """What the checks of a run's curves say, what failed first."""
    rows = sorted(curves, key=lambda row: row["passed"])
    return [
        {"state": "pass" if row["passed"] else "fail", "text": f"{row['name'].replace('_', ' ')}: {row['message']}"}
        for row in rows
    ]


def _provenance(content: Mapping[str, Any]) -> list[dict[str, str]]:
    digests = content["digests"]
    pairs = [
        ("run", content["run_id"]),
        ("evaluation", content["evaluation_id"]),
        *((f"{name} digest", digest) for name, digest in digests.items()),
        ("made", content["made_at"]),
        ("resamples", f"{content['intervals']['resamples']}, seed {content['intervals']['seed']}"),
    ]
    return [{"name": name, "value": value} for name, value in pairs]
