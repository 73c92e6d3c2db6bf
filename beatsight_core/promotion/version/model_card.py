"""The model card: what a version is, what it learned from, how good it is and at what it is bad. Markdown.

Text that comes from data (names of source sets, licences, a reason given for force) is escaped, so that it cannot make
links, tables or HTML of its own.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from beatsight_core.evaluation.bootstrap import Interval
from beatsight_core.evaluation.evaluation_content import Evaluation
from beatsight_core.features.cache import Features
from beatsight_core.safe_text import for_markdown

WEAK_COMPONENTS = 5


def data_by_source(features: Features) -> list[dict[str, Any]]:
    """Return hits, sessions and hits per split of each source set and licence, largest first."""
    split = pl.col("split")
    table = features.meta.group_by("source_set", "licence").agg(
        hits=pl.len(),
        sessions=pl.col("session_id").n_unique(),
        synthetic=pl.col("is_synthetic").sum(),
        **{name: (split == name).sum() for name in ("train", "val", "calibration")},
    )
    return table.sort(["hits", "source_set", "licence"], descending=[True, False, False]).to_dicts()


def model_card(about: Mapping[str, Any], content: Evaluation, record: Mapping[str, Any]) -> str:
    """Return the card of a version, as Markdown.

    Args:
        about: Content of `version.json`, with `environment`.
        content: Evaluation of the run.
        record: Content of the gate record.
    """
    parts = [
        f"# Drum-hit classifier, version {about['version']}",
        *_warnings(about, record),
        "Names the drums struck in a clip around an onset: several at once if several were. Input: log-mel decibels "
        "(`feature_spec.json`); for `model.onnx` samples. Output: one probability per component (`components.json`). "
        "A component is said from its threshold on (`thresholds.json`).",
        "## What it learned from",
        _data_table(about["data"]),
        "## How it was trained",
        _facts(_training_facts(about)),
        f"## How good it is on {content.metrics.hits:,} validation hits",
        _figures(content),
        "## By component",
        _components(content),
        "## What it is bad at",
        *weaknesses(content),
        "## Criteria of its promotion",
        _criteria(record),
        "## Identity",
        _facts([(f"{name} digest", digest) for name, digest in record["digests"].items()]),
    ]
    return "\n\n".join(parts) + "\n"


def warning(notice: str) -> str:
    """Return a notice that nobody overlooks, in its own letters: a reason is quoted as it was given."""
    return f"> **NOTICE: {for_markdown(notice)}**"


def _warnings(about: Mapping[str, Any], record: Mapping[str, Any]) -> list[str]:
    warnings = []
    if record["notice"]:
        warnings.append(warning(record["notice"]))
    if about["forced"]:
        failed = ", ".join(row["title"] for row in record["criteria"] if not row["passed"]) or "none"
        warnings.append(
            f"> **PROMOTED BY FORCE.** Reason given by {for_markdown(about['promoted']['user'])}: "
            f"{for_markdown(about['forced'])}. Criteria not met: {for_markdown(failed)}."
        )
    return warnings


def _training_facts(about: Mapping[str, Any]) -> list[tuple[str, Any]]:
    config, environment = about["config"], about["environment"]
    return [
        ("run", about["run_id"]),
        ("manifest", about["key"]),
        ("preset", config["preset"]),
        ("epochs", f"{about['epochs']}, best {about['best_epoch']}"),
        ("net", config["model"]),
        ("seed", config["seed"]),
        ("device", environment.get("device_name") or environment.get("device") or "unknown"),
        ("promoted", f"{about['promoted']['at']} by {about['promoted']['user']}"),
    ]


def _data_table(rows: Sequence[Mapping[str, Any]]) -> str:
    columns = ("source_set", "licence", "hits", "sessions", "synthetic", "train", "val", "calibration")
    return _table(
        [name.replace("_", " ") for name in columns],
        [
            [for_markdown(row[name]) if isinstance(row[name], str) else f"{row[name]:,}" for name in columns]
            for row in rows
        ],
    )


def _figures(content: Evaluation) -> str:
    metrics, intervals = content.metrics, content.intervals
    rows = [
        [title, _number(getattr(metrics, name)), _span(getattr(intervals, name))]
        for name, title in (
            ("accuracy", "accuracy (micro-F1 over components)"),
            ("exact_match", "exact match"),
            ("macro_f1", "macro-F1"),
            ("macro_ap", "macro average precision"),
            ("top1_in_set", "surest component was struck"),
            ("loss", "loss (binary cross-entropy per component)"),
        )
    ]
    rows.append(["expected calibration error", _number(content.calibration.ece), ""])
    return _table(["figure", "value", f"95 % interval over {intervals.sessions} sessions"], rows)


def _components(content: Evaluation) -> str:
    rows = [
        [
            label,
            f"{scores.positives:,}",
            *map(_number, (scores.precision, scores.recall, scores.f1)),
            _span(content.intervals.f1[label]),
            _number(scores.ap),
        ]
        for label, scores in content.metrics.per_class.items()
        if scores.positives or scores.precision is not None
    ]
    return _table(["component", "struck", "precision", "recall", "F1", "95 % interval", "AP"], rows)


def weaknesses(content: Evaluation) -> list[str]:
    """Return what a model is bad at, as a list in Markdown."""
    scores = content.metrics.per_class
    averaged = sorted((row.f1 or 0.0, label) for label, row in scores.items() if row.averaged)
    rare = [label for label, row in scores.items() if not row.averaged]
    lines = []
    if averaged:
        weakest = ", ".join(f"{label} (F1 {value:.2f})" for value, label in averaged[:WEAK_COMPONENTS])
        lines.append(f"- Weakest components: {weakest}.")
    if rare:
        lines.append(f"- Too rare in validation to be judged: {', '.join(rare)}.")
    lines += [
        f"- {name}: taken for each other {_times(pair.first_as_second + pair.second_as_first)} in "
        f"{pair.struck:,} strokes."
        for name, pair in content.pairs.items()
    ]
    solo, several = content.metrics.solo.accuracy, content.metrics.simultaneous.accuracy
    lines.append(f"- Accuracy on hits of one component {_number(solo)}, of several {_number(several)}.")
    return ["\n".join(lines)]


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _criteria(record: Mapping[str, Any]) -> str:
    rows = [
        [
            "met" if row["passed"] else "**NOT MET**",
            for_markdown(row["title"]),
            _number(row["value"]),
            f"{row['sign']} {row['limit']:g}",
            for_markdown(row["message"]),
        ]
        for row in record["criteria"]
    ]
    return _table(["", "criterion", "value", "limit", ""], rows)


def _facts(pairs: Iterable[tuple[str, Any]]) -> str:
    return "\n".join(f"- {name}: {for_markdown(value)}" for name, value in pairs)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _span(interval: Interval) -> str:
    if interval.low is None:
        return ""
    return f"{interval.low:.3f} to {interval.high:.3f}"
