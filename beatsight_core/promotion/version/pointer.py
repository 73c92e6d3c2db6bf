"""Who is champion. `models/champion.json` is the truth: one file, replaced atomically, that also holds the history.

Derived from it, and from the version that it names, are the files that others look at:

    models/current_drum_classifier.pth   the champion's weights under the name the app loads
    models/current_drum_classifier.json  its sidecar: version, digest of the .pth, components, thresholds, feature spec
    models/history.jsonl                 who was champion when and why, one line each

They are compared with the truth by every command that releases or archives, and written again if they differ; a listing
only tells. The first two change together (`weights_and_sidecar`). So a kill between the pointer and the derived files
leaves the old weights and sidecar, whole; the next such command, or `beatsight models --apply`, completes them.
"""

import functools
import logging
import shutil
from collections.abc import Iterable
from pathlib import Path

import orjson

from beatsight_core.errors import StorageError
from beatsight_core.files import json_bytes, put_if_absent, read_json, sha256_file, write_bytes, write_json
from beatsight_core.leftovers import never, remove_leftovers
from beatsight_core.promotion.version.weights_and_sidecar import (
    CURRENT_SIDECAR,
    CURRENT_WEIGHTS,
    PAIRS,
    holds_pair,
    prepare_pair,
    put_pair,
)
from beatsight_core.runs.lookup import COMPONENTS, SPEC, THRESHOLDS, VERSION, WEIGHTS, verified_version
from beatsight_core.runs.roles import POINTER, Champion, ChampionChange, read_pointer
from beatsight_core.settings import Settings

__all__ = ["HISTORY", "LOCK", "Champion", "align", "is_aligned", "move_pointer", "read_pointer"]

logger = logging.getLogger("beatsight")

FORMAT = 1
HISTORY = "history.jsonl"
LOCK = ".lock"


def move_pointer(settings: Settings, after: Champion) -> None:
    """Make a version the champion, then bring the derived files in line. The caller holds the lock.

    Args:
        settings: Settings that say where models lie.
        after: The champion to be, whose history ends with this change (`Champion.succeeded_by`).

    Raises:
        ModelError: The version is missing or broken; nothing has changed then.
        StorageError: The drive refused; the champion is the old one or the new one, and the old one wherever the drive
            takes links and had no room for the new files.
    """
    folder = verified_version(settings, after.version)
    prepare_pair(settings.models_dir, folder / WEIGHTS, _sidecar(folder, after))
    if read_pointer(settings) is None:
        _keep_foreign(settings.models_dir)
    pointer = {"format": FORMAT, "version": after.version, "history": list(after.history)}
    write_json(settings.models_dir / POINTER, pointer)
    try:
        align(settings, after)
    except StorageError as error:  # without this, who reads it repeats the command, and a rollback goes further back
        raise StorageError(
            f"Version {after.version} is the champion now, but not under the names that applications load",
            where=error.where,
            why=error.what,
            do="do not repeat the command: see to the drive, then beatsight models --apply completes it",
        ) from error


def align(settings: Settings, champion: Champion) -> None:
    """Write the derived files that differ from the truth. The caller holds the lock.

    Raises:
        ModelError: The champion's version is missing or broken.
    """
    folder = verified_version(settings, champion.version)
    models = settings.models_dir
    remove_leftovers(models)
    remove_leftovers(models / PAIRS, never)
    put_pair(models, folder / WEIGHTS, _sidecar(folder, champion))
    _write_if_other(models / HISTORY, _lines(champion.history))


def is_aligned(settings: Settings, champion: Champion) -> bool:
    """Whether all derived files are what `align` would write. Changes nothing.

    Raises:
        ModelError: The champion's version is missing or broken.
    """
    folder = verified_version(settings, champion.version)
    models = settings.models_dir
    history = models / HISTORY
    return (
        holds_pair(models, sha256_file(folder / WEIGHTS), _sidecar(folder, champion))
        and history.is_file()
        and history.read_bytes() == _lines(champion.history)
    )


def _keep_foreign(models: Path) -> None:
    """Copy what lies under the champion's names before there was a first one: somebody put it there by hand."""
    for name in (CURRENT_WEIGHTS, CURRENT_SIDECAR):
        path = models / name
        if path.is_file():
            kept = path.with_name(f"{name}.{sha256_file(path)[:8]}.bak")
            put_if_absent(kept, functools.partial(shutil.copyfile, path))
            logger.warning("%s was there before the first promotion; it is kept as %s", path, kept)


def _sidecar(folder: Path, champion: Champion) -> bytes:
    about = read_json(folder / VERSION)
    said = {
        "version": champion.version,
        "sha256": sha256_file(folder / WEIGHTS),
        "run_id": about["run_id"],
        "since": champion.since["at"],
        "notice": about["notice"],
        "forced": about["forced"],
        "folder": f"versions/{champion.version}",
        "components": read_json(folder / COMPONENTS)["components"],
        "thresholds": read_json(folder / THRESHOLDS)["thresholds"],
        "feature_spec": read_json(folder / SPEC),
    }
    return json_bytes(said)


def _lines(history: Iterable[ChampionChange]) -> bytes:
    return b"".join(orjson.dumps(entry, option=orjson.OPT_SORT_KEYS) + b"\n" for entry in history)


def _write_if_other(path: Path, data: bytes) -> None:
    if not path.is_file() or path.read_bytes() != data:
        write_bytes(path, data)
