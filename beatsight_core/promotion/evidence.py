"""What a candidate is judged by, measured now: its evaluations, its export, and the digests of all they rest on.

The judgement writes from it and every later look compares with it, so a record is never its own witness.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from beatsight_core.evaluation.evaluate import (
    METRICS,
    PREDICTIONS,
    current_digests,
    evaluate,
    features_for,
    read_evaluation,
)
from beatsight_core.evaluation.predictions import Predictions, load_predictions
from beatsight_core.features.cache import Features
from beatsight_core.files import read_json, sha256_file
from beatsight_core.gates.release_limits import Limit, limits_for, probe_limits, profile_notice
from beatsight_core.manifest.catalog import SUMMARY
from beatsight_core.manifest.shifts import corrections_notice
from beatsight_core.progress import Progress, Task
from beatsight_core.promotion import criteria
from beatsight_core.promotion.champion_comparison import against_champion
from beatsight_core.promotion.criteria import Criterion
from beatsight_core.promotion.delivery.export_model import FORMS, check_in_fresh_process, export_run, not_of_run
from beatsight_core.promotion.health_record import health_digest
from beatsight_core.promotion.matching import SLICE, compared_digests, mismatches
from beatsight_core.promotion.probe_gates import figure_gates, too_rare
from beatsight_core.promotion.version.model_notices import joined_notices
from beatsight_core.runs.lookup import verified_version
from beatsight_core.runs.overrides import waiver_notice
from beatsight_core.runs.records import Run
from beatsight_core.settings import Settings

STEPS = 5
"""That `measure` takes."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """An evaluation as it lies on disk."""

    folder: Path
    content: dict[str, Any]
    predictions: Predictions

    @classmethod
    def read(cls, folder: Path) -> "Evaluated":
        """What an evaluation's folder holds.

        Raises:
            DatasetError: A file is missing or broken.
        """
        return cls(folder, read_evaluation(folder), load_predictions(folder / PREDICTIONS))


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a judgement looks at.

    Attributes:
        trained: The candidate.
        features: Of its dataset, as they are now.
        whole: Its evaluation on the whole validation split.
        part: Its evaluation on the 0.3 slice of it, made again.
        export: Its best weights in the forms that others load.
    """

    trained: Run
    features: Features
    whole: Evaluated
    part: Evaluated
    export: Path


def gather(settings: Settings, trained: Run, folder: Path, device: str, progress: Progress) -> Evidence:
    """Open everything; the slice is evaluated and the export made where they are not there yet.

    Args:
        settings: Paths.
        trained: The candidate, finished.
        folder: Its evaluation on the whole validation split.
        device: Where the slice is evaluated.
        progress: Hears of clips.

    Raises:
        DatasetError: Features or evaluation are missing, broken, or other than the run learned from.
        ModelError: The checkpoint is broken.
    """
    features = features_for(settings, trained, trained.key)
    again = evaluate(settings, trained.run_id, fraction=SLICE, device=device, progress=progress).folder
    export = export_run(settings, trained)
    return Evidence(trained, features, Evaluated.read(folder), Evaluated.read(again), export)


def measure(settings: Settings, found: Evidence, champion: int | None, device: str, task: Task) -> list[Criterion]:
    """Every criterion, in order.

    Args:
        settings: Limits.
        found: The evidence.
        champion: The version that the candidate is compared with; None if there is none.
        device: Where that version is asked about the same hits.
        task: Advances `STEPS` times.

    Raises:
        ModelError: The champion's version is broken.
    """
    rows = criteria.figure_criteria(found.whole.predictions.metrics(), limits_for(settings))
    task.advance()
    folder = None if champion is None else verified_version(settings, champion)
    rows.append(against_champion(folder, champion, found.whole.predictions, found.features, device))
    task.advance()
    limits = probe_limits(settings)
    again = found.part.predictions.metrics(limits.min_positives)
    heard = [gate.to_json() for gate in figure_gates(again, limits)]
    rows.append(criteria.slice_again(heard, too_rare(again, limits)))
    task.advance()
    wrong = mismatches(found.trained, found.features, _named(found.whole), _named(found.part))
    digests = compared_digests(found.trained, found.features, found.whole.content)
    rows.append(criteria.evaluation_matches(wrong, digests))
    task.advance()
    rows.append(_exported(found.trained, found.export))
    task.advance()
    return rows


def first_grounds(settings: Settings, trained: Run, features: Features) -> dict[str, Any]:
    """What a verdict rests on before anything was made for it: the run, its data, the limits."""
    limits: dict[str, Limit] = limits_for(settings)
    asked = probe_limits(settings)
    return {
        "run_id": trained.run_id,
        "key": trained.key,
        "preset": trained.preset,
        "profile": settings.gates.profile,
        "notice": joined_notices(
            profile_notice(settings), waiver_notice(trained.folder), _moved_notice(settings, trained.key)
        ),
        "digests": {**current_digests(trained, features), "health": health_digest(settings, trained.key)},
        "limits": {
            **{name: limit.value for name, limit in limits.items()},
            **{f"slice_{name}": value for name, value in asked.to_json().items()},
        },
    }


def _moved_notice(settings: Settings, key: str) -> str | None:
    """What is said of onsets that were moved before the run learned from them."""
    path = settings.catalog_folder(key) / SUMMARY
    return corrections_notice(read_json(path).get("corrections", {})) if path.is_file() else None


def grounds(settings: Settings, found: Evidence) -> dict[str, Any]:
    """Everything but the champion that a verdict rests on, as it is now: digests, limits, and where things lie."""
    first = first_grounds(settings, found.trained, found.features)
    forms = {name: sha256_file(found.export / name) if (found.export / name).is_file() else None for name in FORMS}
    return {
        **first,
        "evaluation_id": found.whole.folder.name,
        "slice_id": found.part.folder.name,
        "export": str(found.export.relative_to(found.trained.folder)),
        "digests": {
            **first["digests"],
            "evaluation": sha256_file(found.whole.folder / METRICS),
            "predictions": sha256_file(found.whole.folder / PREDICTIONS),
            "slice": sha256_file(found.part.folder / PREDICTIONS),
            **forms,
        },
    }


def _named(evaluated: Evaluated) -> tuple[Mapping[str, Any], Predictions, str]:
    return evaluated.content, evaluated.predictions, sha256_file(evaluated.folder / PREDICTIONS)


def _exported(trained: Run, export: Path) -> Criterion:
    if other := not_of_run(trained, export):
        return criteria.exported_model(None, f"the export is not the run's: {', '.join(other)}; delete it: {export}")
    answer = check_in_fresh_process(export)
    if "error" in answer:
        return criteria.exported_model(None, f"the export does not load in a fresh process: {answer['error']}")
    worst = max(answer["differences"].values())
    told = ", ".join(f"{name} {value:.1e}" for name, value in answer["differences"].items())
    rows = [
        {"form": name, "difference": value if np.isfinite(value) else None}
        for name, value in answer["differences"].items()
    ]
    return criteria.exported_model(
        worst if np.isfinite(worst) else None, f"greatest difference of a probability in a fresh process: {told}", rows
    )
