"""Who is champion. `models/champion.json` is the truth: one file, replaced atomically, that also holds the history.

Derived from it, and from the version that it names, are the files that others look at:

    models/current_drum_classifier.pth   the champion's weights under the name the app loads
    models/current_drum_classifier.json  its sidecar: version, digest of the .pth, components, thresholds, feature spec
    models/history.jsonl                 who was champion when and why, one line each

They are compared with the truth whenever the champion is asked for, and written again if they differ. The first two
change together (`pair`). So a kill between the pointer and the derived files leaves an old pair, whole; the next
command, whichever it is, completes them.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from beatsight_core.evaluation.lookup import COMPONENTS, SPEC, THRESHOLDS, VERSION, WEIGHTS, verified_version
from beatsight_core.evaluation.roles import POINTER, Champion, read_pointer
from beatsight_core.files import json_bytes, read_json, remove_leftovers, sha256_file, write_bytes, write_json
from beatsight_core.promotion.pair import put_pair
from beatsight_core.settings import Settings

__all__ = ["HISTORY", "LOCK", "Champion", "align", "move_pointer", "read_pointer"]

FORMAT = 1
HISTORY = "history.jsonl"
LOCK = ".lock"


def move_pointer(settings: Settings, after: Champion) -> None:
    """Make a version the champion, then bring the derived files in line. The caller holds the lock.

    Args:
        settings: Say where models lie.
        after: The champion to be, whose history ends with this change (`Champion.succeeded_by`).

    Raises:
        ModelError: The version is missing or broken; nothing has changed then.
        StorageError: The drive refused; the champion is the old one or the new one.
    """
    verified_version(settings, after.version)
    pointer = {"format": FORMAT, "version": after.version, "history": list(after.history)}
    write_json(settings.models_dir / POINTER, pointer)
    align(settings, after)


def align(settings: Settings, champion: Champion) -> None:
    """Write the derived files that differ from the truth. The caller holds the lock.

    Raises:
        ModelError: The champion's version is missing or broken.
    """
    folder = verified_version(settings, champion.version)
    models = settings.models_dir
    remove_leftovers(models)
    weights = folder / WEIGHTS
    put_pair(models, weights, json_bytes(_sidecar(folder, champion, sha256_file(weights))))
    _write_if_other(models / HISTORY, _lines(champion.history))


def _sidecar(folder: Path, champion: Champion, digest: str) -> dict[str, Any]:
    about = read_json(folder / VERSION)
    return {
        "version": champion.version,
        "sha256": digest,
        "run_id": about["run_id"],
        "since": champion.since["at"],
        "notice": about["notice"],
        "forced": about["forced"],
        "folder": f"versions/{champion.version}",
        "components": read_json(folder / COMPONENTS)["components"],
        "thresholds": read_json(folder / THRESHOLDS)["thresholds"],
        "feature_spec": read_json(folder / SPEC),
    }


def _lines(history: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(orjson.dumps(entry, option=orjson.OPT_SORT_KEYS) + b"\n" for entry in history)


def _write_if_other(path: Path, data: bytes) -> None:
    if not path.is_file() or path.read_bytes() != data:
        write_bytes(path, data)
