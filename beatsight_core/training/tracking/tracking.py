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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from beatsight_core.files import digest_json, read_json
from beatsight_core.runs import records
from beatsight_core.runs.records import RunIdentity
from beatsight_core.settings import Settings

logger = logging.getLogger("beatsight")

FINISH_WAIT_S = 15.0
"""Seconds that the end of training waits for the mirror; after that the mirror goes on alone, for a minute at most."""

_LONGEST = 64
"""Characters that W&B allows in a run's id and in a tag."""


@dataclass(frozen=True, slots=True)
class MirrorOrder:
    """The order to mirror a run; it travels as one line of JSON.

    Attributes:
        folder: Folder of the run.
        wandb_root: Folder of W&B's files.
        lock: Lock that the mirror holds while it writes.
        online: True if the run is to be shown online.
        id: Id of the run at W&B.
        name: Name of the run at W&B.
        project: Project at W&B.
        entity: Entity at W&B; None for the default one.
        group: Group at W&B; None without one.
        tags: Tags of the run.
    """

    folder: str
    wandb_root: str
    lock: str
    online: bool
    id: str
    name: str
    project: str
    entity: str | None
    group: str | None
    tags: list[str]


class Tracker:
    """A tracker that tracks nothing; the base of the one that does."""

    def log(self) -> None:
        """Announce that `history.jsonl` has a new line."""

    def finish(self) -> None:
        """Announce that the attempt has ended, however it did."""


class MirrorProcess(Tracker):
    """The process that mirrors one run to W&B.

    Args:
        settings: Settings with mode, project, entity, group, tags, and the folder of W&B's files.
        folder: Folder of the run.
        identity: Identity of the run.
    """

    def __init__(self, settings: Settings, folder: Path, identity: RunIdentity):
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-m", "beatsight_core.training.tracking.mirror"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert self._process.stdin is not None
        self._pipe = self._process.stdin
        self._send(orjson.dumps(asdict(_order(settings, folder, identity))))
        os.set_blocking(self._pipe.fileno(), False)

    def log(self) -> None:
        """Announce that `history.jsonl` has a new line."""
        self._send(b"")

    def finish(self) -> None:
        """Announce that the attempt has ended, and give the mirror a moment to follow; the log says how it went."""
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

    def _send(self, line: bytes) -> None:
        # A full pipe or a mirror that has ended: it reads the whole history anyway, and says itself what went wrong.
        with contextlib.suppress(OSError):
            self._pipe.write(line + b"\n")
            self._pipe.flush()


def open_tracker(settings: Settings, folder: Path, identity: RunIdentity) -> Tracker:
    """Return the tracker that settings ask for.

    Args:
        settings: Settings with `[tracking]` and the folder of W&B's files.
        folder: Folder of the run.
        identity: Identity of the run.
    """
    if settings.tracking.mode == "disabled":
        return Tracker()
    return MirrorProcess(settings, folder, identity)


def read_tracking(folder: Path) -> dict[str, Any]:
    """Return what `tracking.json` says of the last mirrored attempt.

    Returns:
        `mode` ("online" or "offline"), `id`, `place` (address of the run, or folder of an offline one), `step` (the
        last one mirrored) and `problem` (or None); empty if the run was never mirrored.
    """
    path = folder / records.TRACKING
    return read_json(path) if path.is_file() else {}


def wandb_id(run_id: str) -> str:
    """Return the run's id where W&B allows it, else a digest with the preset in front."""
    if len(run_id) <= _LONGEST and re.fullmatch(r"[\w.-]+", run_id, re.ASCII):
        return run_id
    return f"{run_id.partition('-')[0]}-{digest_json(run_id)[:16]}"


def run_tags(key: str, preset: str, began: datetime.date, more: tuple[str, ...] = ()) -> list[str]:
    """Return the tags of a run: `<manifest>_<YYYYMMDD>`, the preset, and those of the settings.

    The manifest's part is its name without its digest and without a closing `_events`; the date is the one that this
    name ends with, if it does, and else the day on which the run began: `prod_combined_events-1a2b3c4d`, begun on 9
    November 2025, gives `prod_combined_20251109`.

    Args:
        key: Key of the manifest.
        preset: Name of the preset.
        began: Day of the run's first attempt.
        more: Tags to add.
    """
    name = re.sub(r"[_-]events$", "", key.rpartition("-")[0] or key)
    dated = name if re.search(r"(^|[_-])20\d{6}$", name) else f"{name[: _LONGEST - 9]}_{began:%Y%m%d}"
    return sorted({tag[:_LONGEST] for tag in (dated, preset, *more) if tag})


def _order(settings: Settings, folder: Path, identity: RunIdentity) -> MirrorOrder:
    tracking, name = settings.tracking, _tracked_as(folder, identity["run_id"])
    first = read_json(folder / records.ENVIRONMENT)["first_sitting"]
    return MirrorOrder(
        folder=str(folder),
        wandb_root=str(settings.wandb_root),
        lock=str(mirror_lock(settings, wandb_id(name))),
        online=tracking.mode in ("online", "shared"),
        id=wandb_id(name),
        name=name,
        project=tracking.project,
        entity=tracking.entity,
        group=tracking.group,
        tags=run_tags(
            identity["key"], identity["preset"], datetime.datetime.fromisoformat(first).date(), tracking.tags
        ),
    )


def _tracked_as(folder: Path, run_id: str) -> str:
    """Return the name of a run at W&B; one that was begun afresh has another than the one that was put aside."""
    earlier = records.earlier_runs(folder)
    return f"{run_id}-afresh-{earlier[-1]}" if earlier else run_id


def mirror_lock(settings: Settings, name: str) -> Path:
    """Return the lock that a mirror holds while it writes the run of that W&B id."""
    return settings.run_root / ".locks" / f"{name}.mirror"
