"""A model handed over: its files in a folder of the caller's choice, checked there by a process of its own."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from beatsight_core.errors import ModelError, UsageError
from beatsight_core.files import atomic_folder, write_json, write_text
from beatsight_core.promotion.criteria import TOLERANCE_EXPORT
from beatsight_core.promotion.delivery.delivery_card import README, delivery_card
from beatsight_core.promotion.delivery.export_model import (
    FORMS,
    SELFTEST,
    check_in_fresh_process,
    checksums,
    export_run,
)
from beatsight_core.promotion.version.write_version import CARD
from beatsight_core.runs.lookup import ABOUT, CHECKSUMS, COMPONENTS, SPEC, THRESHOLDS, find_model, read_info
from beatsight_core.runs.records import Run
from beatsight_core.settings import Settings
from beatsight_core.typed_json import JsonObject, to_json

PARTS = (*FORMS, ABOUT, COMPONENTS, SPEC, THRESHOLDS, SELFTEST)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A model handed over.

    Attributes:
        folder: Folder of its files, which `inference.load` takes.
        model: Name of the run or version.
        promoted: Flag of a model that is a version.
        differences: Form -> greatest difference of a probability from what the trained net said, in a fresh process.
        clips: Number of real clips that each form was asked about.
        bytes: Size of all files.
    """

    folder: Path
    model: str
    promoted: bool
    differences: dict[str, float]
    clips: int
    bytes: int

    def to_json(self) -> JsonObject:
        """Return the result as JSON values."""
        return to_json(self)


def export_model(settings: Settings, model: str | None, to: Path) -> Delivery:
    """Write a model's three forms, and all that explains them, into a new folder, and check each form there.

    Args:
        settings: Settings that say where models and runs lie.
        model: Name of the model: a version, a run's id, a beginning of one, "latest", or the champion by default.
        to: Folder that does not exist yet, or is empty.

    Raises:
        UsageError: The folder holds something.
        ModelError: There is no such model, or a form does not load elsewhere or says something else; nothing is left.
        DatasetError: A run's dataset, which the clips of the check are from, is missing.
        StorageError: The drive refused.
    """
    if to.is_symlink() or (to.exists() and (not to.is_dir() or any(to.iterdir()))):
        raise UsageError("There is something already", where=to, do="name a folder that does not exist yet")
    source = find_model(settings, model)
    promoted = not isinstance(source, Run)
    made = export_run(settings, source) if isinstance(source, Run) else source
    if to.exists():
        to.rmdir()
    with atomic_folder(to) as temporary:
        for name in (*PARTS, *([CARD] if promoted else [])):
            shutil.copyfile(made / name, temporary / name)
        info = read_info(made)
        figures = source.metrics if isinstance(source, Run) else None
        write_text(temporary / README, delivery_card(info, figures, promoted=promoted))
        write_json(temporary / CHECKSUMS, {"sha256": checksums(temporary)})
        answer = _checked(check_in_fresh_process(temporary), info.name, to)
        size = sum(path.stat().st_size for path in temporary.iterdir())
    return Delivery(to, info.name, promoted, answer["differences"], answer["clips"], size)


def _checked(answer: dict[str, Any], model: str, to: Path) -> dict[str, Any]:
    if "error" in answer:
        raise ModelError(
            f"A form of {model} does not load in a fresh process",
            where=to,
            why=answer["error"],
            do="if it is a version made by an earlier release, export its run instead",
        )
    worst = max(answer["differences"].values())
    if not (np.isfinite(worst) and worst <= TOLERANCE_EXPORT):
        raise ModelError(
            f"A form of {model} differs from the trained net by {worst:.2g}, and {TOLERANCE_EXPORT:g} is allowed",
            where=to,
            why=", ".join(f"{name} {value:.1e}" for name, value in answer["differences"].items()),
            do="look for other versions of torch, onnx or onnxruntime than the project's",
        )
    return answer
