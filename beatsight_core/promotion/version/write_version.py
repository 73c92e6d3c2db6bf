"""A version: `models/versions/<n>/`, everything that an app, an auditor or a later judgement needs of a model.

Written once, whole, under the next free number; never changed. `checksums.json` covers all of it. Before it gets its
number a process of its own has loaded it and found it fit (`infrastructure`).
"""

import shutil
from pathlib import Path
from typing import Any

from beatsight_core.errors import DatasetError, ModelError
from beatsight_core.evaluation.evaluate import METRICS, features_for, read_evaluation
from beatsight_core.files import atomic_folder, read_json, write_json, write_text
from beatsight_core.leftovers import never, remove_leftovers
from beatsight_core.promotion.delivery.export_model import checksums
from beatsight_core.promotion.delivery.infrastructure import require_fit
from beatsight_core.promotion.judge import Judgement
from beatsight_core.promotion.version.model_card import data_by_source, model_card
from beatsight_core.provenance import who_and_when
from beatsight_core.runs.lookup import CHECKSUMS, VERSION, verified_version, version_folder
from beatsight_core.runs.records import ENVIRONMENT, Run
from beatsight_core.runs.roles import read_pointer
from beatsight_core.settings import Settings

FORMAT = 1
GATE, CARD, INFRASTRUCTURE = "gate.json", "card.md", "infrastructure.json"


def versions(settings: Settings) -> list[int]:
    """Return the numbers of all versions, ascending."""
    return sorted(number for number in _numbers(settings) if (version_folder(settings, number) / CHECKSUMS).is_file())


def about_version(settings: Settings, version: int) -> dict[str, Any] | None:
    """Return what a version says of itself; None if its file is damaged or gone, which does not stop the others."""
    try:
        about = read_json(version_folder(settings, version) / VERSION)
    except DatasetError:
        return None
    return about if isinstance(about, dict) and {"run_id", "gate", "forced", "digests"} <= set(about) else None


def _numbers(settings: Settings) -> list[int]:
    """Of all folders of versions, whole or not."""
    folder = settings.models_dir / "versions"
    if not folder.is_dir():
        return []
    return [int(path.name) for path in folder.iterdir() if path.name.isascii() and path.name.isdecimal()]


def number_for(settings: Settings, judgement: Judgement, force: str | None) -> tuple[int, bool]:
    """Return the number of the version that a judgement is of, and whether it is made already.

    A number is given once: what the history says of a version that was deleted since is of that one.
    """
    for version in versions(settings):
        about = about_version(settings, version)
        if about and (about["gate"], about["forced"]) == (judgement.record["digest"], force):
            return version, True
    standing = read_pointer(settings)
    told = [int(entry["version"]) for entry in standing.history] if standing else []
    return max([*_numbers(settings), *told], default=0) + 1, False


def write_version(settings: Settings, trained: Run, judgement: Judgement, force: str | None) -> int:
    """Make the version that a judgement is of, or find it if a killed promotion had made it. The caller holds the lock.

    Args:
        settings: Settings with paths and limits.
        trained: Run that was judged.
        judgement: Judgement of the run, whose gate record is kept with the version.
        force: Reason for promoting although a criterion fails; None without one.

    Returns:
        The version's number.

    Raises:
        GateError: The version does not load in a fresh process, gives other answers there, or is too slow or too large.
            No version was made then, and no reason given for force helps.
        DatasetError: The run's features are gone.
        StorageError: The drive refused; no version was made.
    """
    if (settings.models_dir / "versions").is_dir():
        remove_leftovers(settings.models_dir / "versions", never)
    version, is_made = number_for(settings, judgement, force)
    if is_made:
        require_fit(settings, verified_version(settings, version))
        return version
    folder = version_folder(settings, version)
    with atomic_folder(folder) as temporary:
        _fill(temporary, version, settings, trained, judgement, force)
        rows = require_fit(settings, temporary)
        write_json(temporary / INFRASTRUCTURE, {"checks": [row.to_json() for row in rows], "made": who_and_when()})
        write_json(temporary / CHECKSUMS, {"sha256": checksums(temporary)})
    return version


def _fill(
    folder: Path, version: int, settings: Settings, trained: Run, judgement: Judgement, force: str | None
) -> None:
    record = judgement.record
    export = trained.folder / record["export"]
    for path in sorted(export.iterdir()):
        if path.name != CHECKSUMS:
            shutil.copyfile(path, folder / path.name)
    evaluation = settings.metrics_dir / trained.run_id / record["evaluation_id"]
    content = read_evaluation(evaluation)
    about = _about(version, settings, trained, record, force)
    shutil.copyfile(evaluation / METRICS, folder / METRICS)
    shutil.copyfile(trained.folder / ENVIRONMENT, folder / ENVIRONMENT)
    write_json(folder / GATE, record)
    write_json(folder / VERSION, about)
    write_text(folder / CARD, model_card({**about, "environment": read_json(folder / ENVIRONMENT)}, content, record))


def _about(version: int, settings: Settings, trained: Run, record: dict[str, Any], force: str | None) -> dict[str, Any]:
    figures = trained.metrics
    if figures is None:  # the judgement has just read them, so this is a run that is being trained afresh
        raise ModelError(f"Run {trained.run_id} is not finished any more", where=trained.folder, do="promote it later")
    return {
        "format": FORMAT,
        "version": version,
        "run_id": trained.run_id,
        "key": trained.key,
        "config": trained.config.to_json(),
        "epochs": figures["epochs"],
        "best_epoch": figures["best_epoch"],
        "data": data_by_source(features_for(settings, trained, trained.key)),
        "digests": record["digests"],
        "gate": record["digest"],
        "profile": record["profile"],
        "notice": record["notice"],
        "passed": record["passed"],
        "forced": force,
        "promoted": who_and_when(),
    }
