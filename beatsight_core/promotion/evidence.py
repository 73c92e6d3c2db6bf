"""What a candidate is judged by, measured now: its evaluations, its export, and the digests of all they rest on.

The judgement writes from it and every later look compares with it, so a record is never its own witness.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beatsight_core.evaluation.evaluate import (
    METRICS,
    HitSelection,
    current_digests,
    evaluate,
    features_for,
)
from beatsight_core.features.cache import Features
from beatsight_core.files import sha256_file
from beatsight_core.progress import Progress
from beatsight_core.promotion.delivery.export_model import FORMS, export_run
from beatsight_core.promotion.first_inputs import first_inputs
from beatsight_core.promotion.matching import SLICE, Evaluated
from beatsight_core.runs.records import Run
from beatsight_core.settings import Settings


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a judgement looks at.

    Attributes:
        trained: Run of the candidate.
        features: Features of its dataset, as they are now.
        whole: Evaluation on its whole validation split.
        part: Evaluation on the 0.3 slice of it, made again.
        export: Folder of its best weights in the forms that others load.
    """

    trained: Run
    features: Features
    whole: Evaluated
    part: Evaluated
    export: Path


def gather(settings: Settings, trained: Run, folder: Path, device: str, progress: Progress) -> Evidence:
    """Open all that a judgement looks at; the slice is evaluated and the export made where they are not there yet.

    Args:
        settings: Settings with paths and limits.
        trained: Run of the candidate, finished.
        folder: Folder of its evaluation on the whole validation split.
        device: Device that the slice is evaluated on.
        progress: Receives the number of clips processed.

    Raises:
        DatasetError: Features or evaluation are missing, broken, or other than the run learned from.
        ModelError: The checkpoint is broken.
    """
    features = features_for(settings, trained, trained.key)
    again = evaluate(settings, trained.run_id, HitSelection(fraction=SLICE), device=device, progress=progress).folder
    export = export_run(settings, trained)
    return Evidence(trained, features, Evaluated.read(folder), Evaluated.read(again), export)


def inputs(settings: Settings, found: Evidence) -> dict[str, Any]:
    """Return all but the champion that a verdict rests on, as it is now: digests, limits, and where things lie."""
    first = first_inputs(settings, found.trained, current_digests(found.trained, found.features))
    forms = {name: sha256_file(found.export / name) if (found.export / name).is_file() else None for name in FORMS}
    return {
        **first,
        "evaluation_id": found.whole.folder.name,
        "slice_id": found.part.folder.name,
        "export": str(found.export.relative_to(found.trained.folder)),
        "digests": {
            **first["digests"],
            "evaluation": sha256_file(found.whole.folder / METRICS),
            "predictions": found.whole.digest,
            "slice": found.part.digest,
            **forms,
        },
    }
