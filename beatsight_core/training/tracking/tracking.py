"""Weights & Biases as a view of `history.jsonl`: a process of its own mirrors the run, and training never waits for it.

What is tracked, and under which name and tags, is decided here; `mirror` is what that process does. Training starts it,
tells it of new lines, and at the end gives it `FINISH_WAIT_S`. Nothing of wandb is imported here, no key is read, and
what the other process prints is not kept: what came of it stands in `tracking.json`.
"""

import contextlib
import datetime
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from beatsight_core.files import digest_json, read_json
from beatsight_core.runs import records
from beatsight_core.settings import Settings

logger = logging.getLogger("beatsight")

FINISH_WAIT_S = 15.0
"""How long the end of training waits for the mirror; after that the mirror goes on alone, for a minute at most."""

_LONGEST = 64
"""Characters that W&B allows in a run's id and in a tag."""


class Tracker:
    """Tracks nothing; the base of what does."""

    def log(self) -> None:
        """Say that `history.jsonl` has a new line."""

    def finish(self) -> None:
        """Say that the sitting has ended, however it did."""


class MirrorProcess(Tracker):
    """The process that mirrors one run to W&B.

    Args:
        settings: Mode, project, entity, group, tags, and where its files go.
        folder: Of the run.
        identity: What its `config.json` says.
    """

    def __init__(self, settings: Settings, folder: Path, identity: Mapping[str, Any]):
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-m", "beatsight_core.training.tracking.mirror"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert self._process.stdin is not None
        self._pipe = self._process.stdin
        self._tell(orjson.dumps(_order(settings, folder, identity)))
        os.set_blocking(self._pipe.fileno(), False)

    def log(self) -> None:
        """Say that `history.jsonl` has a new line."""
        self._tell(b"")

    def finish(self) -> None:
        """Say that the sitting has ended, and give the mirror a moment to follow; what came of it goes to the log."""
        with contextlib.suppress(OSError):
            self._pipe.close()
        try:
            self._process.wait(FINISH_WAIT_S)
        except subprocess.TimeoutExpired:
            logger.warning(
                "W&B did not take everything within %.0f s and is left behind; history.jsonl is whole", FINISH_WAIT_S
            )
            threading.Thread(target=self._process.wait, name="mirror-reaper", daemon=True).start()
            return
        state = read_tracking(self._folder)
        if state.get("problem"):
            logger.warning("W&B: %s", state["problem"])
        if state.get("place"):
            logger.info("W&B: %s", state["place"])

    def _tell(self, line: bytes) -> None:
        # A full pipe or a mirror that has ended: it reads the whole history anyway, and says itself what went wrong.
        with contextlib.suppress(OSError):
            self._pipe.write(line + b"\n")
            self._pipe.flush()


def open_tracker(settings: Settings, folder: Path, identity: Mapping[str, Any]) -> Tracker:
    """The tracker that settings ask for.

    Args:
        settings: `[tracking]`, and where W&B keeps its files.
        folder: Of the run.
        identity: What its `config.json` says.
    """
    if settings.tracking.mode == "disabled":
        return Tracker()
    return MirrorProcess(settings, folder, identity)


def read_tracking(folder: Path) -> dict[str, Any]:
    """What `tracking.json` says of the last mirrored sitting.

    Returns:
        `mode` ("online" or "offline"), `id`, `place` (address of the run, or folder of an offline one), `step` (the
        last one mirrored) and `problem` (or None); empty if the run was never mirrored.
    """
    path = folder / records.TRACKING
    return read_json(path) if path.is_file() else {}


def wandb_id(run_id: str) -> str:
    """The run's id where W&B allows it, else a digest with the preset in front."""
    if len(run_id) <= _LONGEST and re.fullmatch(r"[\w.-]+", run_id, re.ASCII):
        return run_id
    return f"{run_id.partition('-')[0]}-{digest_json(run_id)[:16]}"


def run_tags(key: str, preset: str, began: datetime.date, more: tuple[str, ...] = ()) -> list[str]:
    """The tags of a run: `<manifest>_<YYYYMMDD>`, the preset, and those of the settings.

    The manifest's part is its name without its digest and without a closing `_events`; the date is the one that this
    name ends with, if it does, and else the day on which the run began: `prod_combined_events-1a2b3c4d`, begun on 9
    November 2025, gives `prod_combined_20251109`.

    Args:
        key: Of the manifest.
        preset: Name of the preset.
        began: Day of the run's first sitting.
        more: Further tags.
    """
    name = re.sub(r"[_-]events$", "", key.rpartition("-")[0] or key)
    dated = name if re.search(r"(^|[_-])20\d{6}$", name) else f"{name[: _LONGEST - 9]}_{began:%Y%m%d}"
    return sorted({tag[:_LONGEST] for tag in (dated, preset, *more) if tag})


def _order(settings: Settings, folder: Path, identity: Mapping[str, Any]) -> dict[str, Any]:
    """What the mirror has to know."""
    tracking, name = settings.tracking, _tracked_as(folder, identity["run_id"])
    first = read_json(folder / records.ENVIRONMENT)["first_sitting"]
    return {
        "folder": str(folder),
        "wandb_root": str(settings.wandb_root),
        "lock": str(mirror_lock(settings, wandb_id(name))),
        "online": tracking.mode in ("online", "shared"),
        "id": wandb_id(name),
        "name": name,
        "project": tracking.project,
        "entity": tracking.entity,
        "group": tracking.group,
        "tags": run_tags(
            identity["key"], identity["preset"], datetime.datetime.fromisoformat(first).date(), tracking.tags
        ),
    }


def _tracked_as(folder: Path, run_id: str) -> str:
    """The name that W&B knows a run by: one that was begun afresh has another than the one that was put aside."""
    earlier = records.earlier_runs(folder)
    return f"{run_id}-afresh-{earlier[-1]}" if earlier else run_id


def mirror_lock(settings: Settings, name: str) -> Path:
    """The lock that a mirror holds while it writes the run of that W&B id."""
    return settings.run_root / ".locks" / f"{name}.mirror"
