"""Looking through the files of one source set: where each lies, what its header says, what is remembered of it."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

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
class SourceSearch:
    """The settings of a search through one source set.

    Attributes:
        settings: Settings that say where remembered probes and digests lie.
        source: Source set whose files are looked for.
        deep: True if whole files are decoded.
        remember: True if what was learned is kept on disk.
        task: Task that counts the files looked at.
    """

    settings: Settings
    source: SourceSet
    deep: bool
    remember: bool
    task: Task


@dataclass(frozen=True, slots=True)
class FoundFile:
    """The result of looking for one file of a manifest, a row of the inventory.

    Attributes:
        source_set: Name of the source set.
        audio_path: Path of the file in the manifest.
        status: State of the file.
        message: Reason why it cannot be used, or a note on a file that can.
        root: Root that it was found in.
        sample_rate: Samples per second.
        channels: Number of channels.
        frames: Frames that are there, at positions that are certain.
        promised: Frames that the file should have, where some are missing.
        subtype: Sample format.
        size: Size of the file in bytes.
        mtime_ns: Time of its last change.
        digest: Content digest, if the file was ever read whole.
        spelt: Path of the file as the drive has it, where that is in another Unicode form.
        hidden_root: Later root with another file of this path.
    """

    source_set: str
    audio_path: str
    status: str
    message: str
    root: str | None = None
    sample_rate: int | None = None
    channels: int | None = None
    frames: int | None = None
    promised: int | None = None
    subtype: str | None = None
    size: int | None = None
    mtime_ns: int | None = None
    digest: str | None = None
    spelt: str | None = None
    hidden_root: str | None = None


def search_source(search: SourceSearch, paths: list[str], roots: tuple[RootStatus, ...]) -> list[FoundFile]:
    """Look for some files of a source set, and read their headers, or all of them.

    Args:
        search: Source set, and how closely to look.
        paths: Paths of the files as the manifest names them.
        roots: Roots of the source set, each with whether it is mounted.

    Returns:
        What is known of each path, in the order of the paths.

    Raises:
        AudioError: A drive failed or vanished on the way.
        StorageError: The findings cannot be written.
    """
    name = search.source.name
    if not any(status.mounted for status in roots):
        search.task.advance(len(paths))
        return [FoundFile(name, path, Status.MISSING, NOT_MOUNTED) for path in paths]
    listings = Listings()
    memory = _Memory(search)

    def look(path: str) -> tuple[Located, Probe | None, Located | None]:
        located = resolve_audio(search.source, path, listings)
        if located.path is None:
            return located, None, None
        probed = memory.probes.get(located, path, deep=search.deep) or probe(located.path, deep=search.deep)
        if not probed.lasting and located.root is not None:
            require_root(located.root, name)
        return located, probed, memory.twins.hidden_by(located, path, listings)

    found = []
    with ThreadPoolExecutor(_DEEP_THREADS if search.deep else _THREADS) as threads:
        try:
            for path, (located, probed, hidden) in zip(paths, threads.map(look, paths), strict=True):
                if probed is not None:
                    memory.add(located, path, probed)
                file = _found(name, path, located, probed)
                hidden_root = str(hidden.root) if hidden else None
                found.append(replace(file, digest=memory.digest(located, path), hidden_root=hidden_root))
                search.task.advance(1)
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            memory.save()
    return found


def _found(source_set: str, audio_path: str, located: Located, probed: Probe | None) -> FoundFile:
    status, message = (probed.status, probed.message) if probed else (located.status, located.message)
    file = FoundFile(source_set, audio_path, str(status), message)
    if located.path is not None:
        spelt = None if located.name == audio_path else located.name
        file = replace(file, root=str(located.root), size=located.size, mtime_ns=located.mtime_ns, spelt=spelt)
    if probed is not None and probed.sample_rate:
        file = replace(
            file, sample_rate=probed.sample_rate, channels=probed.channels, frames=probed.frames,
            promised=probed.promised, subtype=probed.subtype,
        )  # fmt: skip
    return file


class _Memory:
    """What is remembered of a source set's files, and kept on disk from time to time."""

    def __init__(self, search: SourceSearch):
        self.probes = ProbeMemory.load(search.settings, search.source.name)
        self.twins = Twins(search.settings, search.source, search.deep)
        self._digests = DigestMemory(search.settings, search.source.name)
        self._read: dict[FileState, str] = {}
        self._remember = search.remember
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
