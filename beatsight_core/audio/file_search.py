"""Looking through the files of one source set: where each lies, what it says of itself, what is remembered of it."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from beatsight_core.audio.digests import DigestMemory, FileState
from beatsight_core.audio.inspection import Probe, ProbeMemory, probe
from beatsight_core.audio.roots import Listings, Located, RootStatus, Status, require_root, resolve_audio
from beatsight_core.audio.twins import Twins
from beatsight_core.progress import Task
from beatsight_core.settings import Settings, SourceSet

NOT_MOUNTED = "no root is mounted"

_THREADS = 16
"""Headers are read in so many threads: enough to wait for a slow drive, few enough not to drown it."""

_DEEP_THREADS = 4
"""Whole files are decoded in so many, each of which holds one."""

_SAVE_SECONDS = 30.0
"""A deep look at many files takes hours: what it learned is kept this often."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What looking through one source set takes.

    Attributes:
        settings: Say where what is remembered lies.
        source: The source set.
        deep: Decode whole files.
        remember: Keep what was learned.
        task: Hears of each file.
    """

    settings: Settings
    source: SourceSet
    deep: bool
    remember: bool
    task: Task


def survey_source(survey: Survey, paths: list[str], roots: tuple[RootStatus, ...]) -> list[dict[str, Any]]:
    """Look for some files of a source set, and read their headers, or all of them.

    Args:
        survey: Which source set, and how closely.
        paths: As the manifest names them.
        roots: Whether each root is there.

    Returns:
        A row per path: source_set, audio_path, status, message, and what else is known of it.

    Raises:
        AudioError: A drive failed or vanished on the way.
        StorageError: What was learned cannot be kept.
    """
    name = survey.source.name
    if not any(status.mounted for status in roots):
        survey.task.advance(len(paths))
        return [_row(name, path, Located(Status.MISSING, NOT_MOUNTED), None) for path in paths]
    listings = Listings()
    memory = _Memory(survey)

    def look(path: str) -> tuple[Located, Probe | None, Located | None]:
        located = resolve_audio(survey.source, path, listings)
        if located.path is None:
            return located, None, None
        probed = memory.probes.get(located, path, deep=survey.deep) or probe(located.path, deep=survey.deep)
        if not probed.lasting and located.root is not None:
            require_root(located.root, name)
        return located, probed, memory.twins.hidden_by(located, path, listings)

    rows = []
    with ThreadPoolExecutor(_DEEP_THREADS if survey.deep else _THREADS) as threads:
        try:
            for path, (located, probed, hidden) in zip(paths, threads.map(look, paths), strict=True):
                if probed is not None:
                    memory.add(located, path, probed)
                row = _row(name, path, located, probed) | {"digest": memory.digest(located, path)}
                rows.append(row | {"hidden_root": str(hidden.root) if hidden else None})
                survey.task.advance(1)
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            memory.save()
    return rows


def _row(source_set: str, audio_path: str, located: Located, probed: Probe | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "source_set": source_set,
        "audio_path": audio_path,
        "status": str(probed.status if probed else located.status),
        "message": probed.message if probed else located.message,
    }
    if located.path is not None:
        row |= {"root": str(located.root), "size": located.size, "mtime_ns": located.mtime_ns}
        row |= {"spelt": None if located.name == audio_path else located.name}
    if probed is not None and probed.sample_rate:
        row |= {name: getattr(probed, name) for name in ("sample_rate", "channels", "frames", "promised", "subtype")}
    return row


class _Memory:
    """What is remembered of a source set's files, and kept on disk from time to time."""

    def __init__(self, survey: Survey):
        self.probes = ProbeMemory.load(survey.settings, survey.source.name)
        self.twins = Twins(survey.settings, survey.source, survey.deep)
        self._digests = DigestMemory(survey.settings, survey.source.name)
        self._read: dict[FileState, str] = {}
        self._remember = survey.remember
        self._saved = time.monotonic()

    def add(self, located: Located, path: str, probed: Probe) -> None:
        self.probes.add(located, path, probed)
        if probed.digest:
            self._read[_state(located, path)] = probed.digest
        if time.monotonic() - self._saved > _SAVE_SECONDS:
            self.save()

    def digest(self, located: Located, path: str) -> str | None:
        state = _state(located, path)
        return self._read.get(state) or self._digests.get(state)

    def save(self) -> None:
        self._saved = time.monotonic()
        if self._remember:
            self.probes.save()
            self._digests.add(self._read.items())
            self.twins.save()


def _state(located: Located, path: str) -> FileState:
    return FileState(str(located.root), path, located.size, located.mtime_ns)
