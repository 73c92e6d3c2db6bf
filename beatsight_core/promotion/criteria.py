"""Judging a candidate: find or make its evaluation, hold every criterion against it, write the gate record."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from beatsight_core.errors import DatasetError
from beatsight_core.evaluation.compare import compare_predictions
from beatsight_core.evaluation.lookup import VERSION, champion_version, verified_version, version_folder
from beatsight_core.evaluation.predictions import Predictions, load_predictions
from beatsight_core.evaluation.report import (
    METRICS,
    PREDICTIONS,
    current_digests,
    evaluate,
    features_for,
    find_evaluation,
    read_evaluation,
    require_finished,
)
from beatsight_core.features.cache import Features
from beatsight_core.files import read_json, sha256_file
from beatsight_core.progress import Progress, SilentProgress
from beatsight_core.promotion import rules
from beatsight_core.promotion.export import FORMS, check_in_fresh_process, export_run
from beatsight_core.promotion.limits import PROTECTED, Limit, limits_for, profile_notice
from beatsight_core.promotion.record import FORMAT, RECORD, differences, read_record, seal, who_and_when, write_record
from beatsight_core.promotion.rules import CRITERIA, Criterion
from beatsight_core.settings import Settings
from beatsight_core.training.records import Run, open_run

__all__ = ["CRITERIA", "Judgement", "is_version_of", "judge", "judged"]

SPOT_CHECK_HITS = 128
SPOT_CHECK_TOLERANCE = 0.02
"""Evaluations may be made on another device, with shorter mantissas, than the check; other weights differ by more."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A candidate as judged.

    Attributes:
        run_id: The candidate.
        record: What the gate record says.
        path: Where it lies.
        reused: Whether a record that still counts was there.
        notice: What a person must know: of the profile, or why an older record did not count.
    """

    run_id: str
    record: dict[str, Any]
    path: Path
    reused: bool = False
    notice: str | None = None

    @property
    def passed(self) -> bool:
        """Whether every criterion is met."""
        return bool(self.record["passed"])

    @property
    def failed(self) -> list[dict[str, Any]]:
        """The criteria that are not met."""
        return [row for row in self.record["criteria"] if not row["passed"]]

    def to_json(self) -> dict[str, Any]:
        """Verdict, criteria, digests and where the record is."""
        return {
            "run_id": self.run_id,
            "passed": self.passed,
            "criteria": self.record["criteria"],
            "failed": [row["name"] for row in self.failed],
            "profile": self.record["profile"],
            "notice": self.notice,
            "digests": self.record["digests"],
            "evaluation_id": self.record["evaluation_id"],
            "compared_with": self.record["compared_with"],
            "record": str(self.path),
            "reused": self.reused,
        }


def judge(settings: Settings, run: str, *, device: str = "auto", progress: Progress | None = None) -> Judgement:
    """Hold every promotion criterion against a finished run and write `runs/<run id>/gates/promotion.json`.

    The evaluation of its whole validation split is used, or made if there is none. One that belongs to another
    checkpoint, dataset or spec is not made again silently: it fails its criterion.

    Args:
        settings: Paths, gates and their profile.
        run: A run's id, a beginning of one, or "latest".
        device: Where an evaluation is made, and where the champion is asked about the same hits.
        progress: Hears of clips.

    Raises:
        SettingsError: `[gates.promotion]` would loosen a limit.
        ModelError: There is no such finished run, or its checkpoint is broken.
        DatasetError: The features of its dataset are missing.
    """
    limits = limits_for(settings)
    progress = progress or SilentProgress()
    trained = require_finished(open_run(settings, run))
    folder = find_evaluation(settings, trained) or evaluate(settings, run, device=device, progress=progress).folder
    features = features_for(settings, trained, trained.key)
    content, predictions = read_evaluation(folder), load_predictions(folder / PREDICTIONS)
    champion = champion_version(settings)
    with progress.task("judge", 4, "steps") as task:
        rows = rules.figure_criteria(predictions.metrics(), limits)
        task.advance()
        rows.append(_against_champion(settings, champion, predictions, features, device))
        task.advance()
        rows.append(rules.evaluation_matches(_mismatches(trained, features, folder, content, predictions)))
        task.advance()
        export = export_run(settings, trained)
        rows.append(_exported(export))
        task.advance()
    record = seal(
        {
            "format": FORMAT,
            "run_id": trained.run_id,
            "key": trained.key,
            "preset": trained.preset,
            "profile": settings.gates.profile,
            "notice": profile_notice(settings),
            "criteria": [row.to_json() for row in rows],
            "passed": all(row.passed for row in rows),
            "evaluation_id": folder.name,
            "export": str(export.relative_to(trained.folder)),
            "made": who_and_when(),
            **_grounds(settings, trained, features, folder, limits),
        }
    )
    return Judgement(trained.run_id, record, write_record(trained, record), notice=record["notice"])


def judged(settings: Settings, run: str, *, device: str = "auto", progress: Progress | None = None) -> Judgement:
    """The record of a run if it still counts, else a new judgement that says why the old one did not."""
    trained = require_finished(open_run(settings, run))
    record, reason = read_record(trained)
    if record is not None:
        changed = _no_longer_so(settings, trained, record)
        if not changed:
            return Judgement(trained.run_id, record, trained.folder / RECORD, reused=True, notice=record["notice"])
        reason = f"since the record was written these changed: {', '.join(changed)}"
    fresh = judge(settings, run, device=device, progress=progress)
    if reason is None:
        return fresh
    notice = "; ".join(filter(None, [fresh.notice, f"judged anew, as {reason}"]))
    return Judgement(fresh.run_id, fresh.record, fresh.path, notice=notice)


def is_version_of(settings: Settings, version: int, trained: Run) -> bool:
    """Whether a version came of this run, with the very weights that the run has now."""
    about = read_json(version_folder(settings, version) / VERSION)
    same_run = about["run_id"] == trained.run_id and trained.checkpoint.is_file()
    return bool(same_run and about["digests"]["checkpoint"] == sha256_file(trained.checkpoint))


def _no_longer_so(settings: Settings, trained: Run, record: Mapping[str, Any]) -> list[str]:
    """What the record rests on that is now different, and figures in it that are not the evaluation's."""
    limits = limits_for(settings)
    folder = settings.metrics_dir / trained.run_id / record["evaluation_id"]
    if not (folder / METRICS).is_file() or not (folder / PREDICTIONS).is_file():
        return ["evaluation"]
    try:
        features = features_for(settings, trained, trained.key)
        present = _grounds(settings, trained, features, folder, limits, export=trained.folder / record["export"])
        rows = rules.figure_criteria(load_predictions(folder / PREDICTIONS).metrics(), limits)
    except DatasetError as error:
        return [error.what]
    present |= {"profile": settings.gates.profile, "notice": profile_notice(settings), "run_id": trained.run_id}
    changed = differences(record, present)
    standing = champion_version(settings)
    if standing is not None and is_version_of(settings, standing, trained):
        changed = [name for name in changed if name != "compared_with"]  # since then it became the champion itself
    figures = [row.to_json() for row in rows]
    if record["criteria"][: len(figures)] != figures:
        changed.append("figures")
    if record["passed"] != all(row["passed"] for row in record["criteria"]):
        changed.append("verdict")
    return changed


def _grounds(
    settings: Settings,
    trained: Run,
    features: Features,
    folder: Path,
    limits: Mapping[str, Limit],
    export: Path | None = None,
) -> dict[str, Any]:
    """Everything a verdict rests on, by digest, as it is now."""
    export = export or export_run(settings, trained)
    forms = {name: sha256_file(export / name) if (export / name).is_file() else None for name in FORMS}
    return {
        "digests": {
            **current_digests(trained, features),
            "evaluation": sha256_file(folder / METRICS),
            "predictions": sha256_file(folder / PREDICTIONS),
            **forms,
        },
        "limits": {name: limit.value for name, limit in limits.items()},
        "compared_with": champion_version(settings),
    }


def _mismatches(
    trained: Run, features: Features, folder: Path, content: Mapping[str, Any], predictions: Predictions
) -> list[str]:
    """Sentences on what in the evaluation does not belong to the candidate as it is now."""
    now, then = current_digests(trained, features), content["digests"]
    found = [f"the evaluation is of another {name}" for name in now if then.get(name) != now[name]]
    if features.dataset_digest != trained.dataset_digest:
        found.append("the dataset on disk is another than the run learned from")
    if then.get("predictions") != sha256_file(folder / PREDICTIONS):
        found.append("its predictions were altered")
    elif not found and not _answers_again(trained, features, predictions):
        found.append("the checkpoint gives other answers than the evaluation holds")
    return [f"{sentence} (beatsight evaluate {trained.run_id})" for sentence in found]


def _answers_again(trained: Run, features: Features, predictions: Predictions) -> bool:
    """Whether the checkpoint, asked again about some of the hits, says what the evaluation holds."""
    from beatsight_core.evaluation.predict import Predictor

    rows = features.rows_of("val")
    if not _are_of_val(predictions, features):
        return False
    places = np.unique(np.linspace(0, len(rows) - 1, SPOT_CHECK_HITS).astype(np.int64))
    again = Predictor.load(trained, "cpu").predict(features.read(rows[places]))
    return bool(np.abs(again - predictions.probabilities[places]).max(initial=0.0) <= SPOT_CHECK_TOLERANCE)


def _are_of_val(predictions: Predictions, features: Features) -> bool:
    """Whether predictions are of the validation hits of the cache, in its order."""
    hits = features.meta["hit_id"].gather(features.rows_of("val"))
    return hits.to_list() == predictions.hits["hit_id"].to_list()


def _against_champion(
    settings: Settings, version: int | None, candidate: Predictions, features: Features, device: str
) -> Criterion:
    """The protected components against the champion's: on the same hits if it hears the same features."""
    if version is None:
        return rules.no_class_worse({}, None)
    folder = verified_version(settings, version)
    labels = [label for name in PROTECTED if (label := rules.protected_label(name, candidate.classes))]
    from beatsight_core.evaluation.predict import Predictor

    champion = Predictor.load(folder, device)
    alike = champion.spec.digest == features.spec.digest and champion.classes == candidate.classes
    if not alike or not _are_of_val(candidate, features):
        return rules.no_class_worse(_against_figures(folder, labels, candidate), f"version {version} as evaluated")
    theirs = Predictions(
        classes=champion.classes,
        thresholds=champion.thresholds,
        hits=candidate.hits,
        probabilities=champion.predict_rows(features, features.rows_of("val")),
        targets=candidate.targets,
    )
    change = compare_predictions(theirs, candidate)
    return rules.no_class_worse({label: change["f1"][label] for label in labels}, f"version {version} (same hits)")


def _against_figures(folder: Path, labels: list[str], candidate: Predictions) -> dict[str, dict[str, Any]]:
    """Differences from the figures and intervals that a champion of other features was promoted with."""
    theirs = read_json(folder / METRICS)["intervals"]["f1"]
    ours = candidate.metrics()["per_class"]
    changes = {}
    for label in labels:
        interval, value = theirs.get(label), ours[label]["f1"]
        if interval is None or interval["value"] is None or value is None:
            changes[label] = {"difference": None, "low": None, "high": None}
            continue
        low, high = (interval[end] if interval[end] is not None else interval["value"] for end in ("low", "high"))
        changes[label] = {"difference": value - interval["value"], "low": value - high, "high": value - low}
    return changes


def _exported(export: Path) -> Criterion:
    answer = check_in_fresh_process(export)
    if "error" in answer:
        return rules.exported_model(None, f"the export does not load in a fresh process: {answer['error']}")
    worst = max(answer["differences"].values())
    told = ", ".join(f"{name} {value:.1e}" for name, value in answer["differences"].items())
    return rules.exported_model(
        worst if np.isfinite(worst) else None, f"greatest difference of a probability in a fresh process: {told}"
    )
