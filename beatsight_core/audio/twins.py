"""One path in two roots: whether it is the same file twice, or the first hides another.

A copy on a second drive is common and of no interest. A file with other content is: who moves data between drives may
have a stale copy in the first root, and it is the one that is used. Sizes are compared first, then three samples of
either file; only a deep look reads both. What was read is remembered while the files stay as they are.
"""

import hashlib
from pathlib import Path

from beatsight_core.audio.digests import DigestMemory, FileState, stream_digest
from beatsight_core.audio.roots import Listings, Located, found_elsewhere
from beatsight_core.errors import AudioError
from beatsight_core.files import DIGEST_HEX
from beatsight_core.settings import Settings, SourceSet

_SAMPLE_BYTES = 1 << 16


class Twins:
    """A search for files of a source set that hide others of the same path in later roots.

    Args:
        settings: Settings that say where remembered digests lie.
        source: Source set whose files are compared.
        deep: True if files of one size are read to the end.
    """

    def __init__(self, settings: Settings, source: SourceSet, deep: bool):
        self._source, self._deep = source, deep
        self._digests = DigestMemory(settings, source.name)
        self._samples = DigestMemory(settings, source.name, "samples")
        self._read: dict[bool, dict[FileState, str]] = {True: {}, False: {}}

    def hidden_by(self, found: Located, audio_path: str, listings: Listings) -> Located | None:
        """Return the first file of other content that has the same path in a later root; None if there is none."""
        for other in found_elsewhere(self._source, audio_path, found, listings):
            try:
                if found.size != other.size or self._differ(found, other, audio_path):
                    return other
            except (AudioError, OSError):  # what cannot be read is not used anyway
                continue
        return None

    def save(self) -> None:
        """Remember what was read.

        Raises:
            StorageError: The drive is full, read-only, or gone.
        """
        self._digests.add(self._read[True].copy().items())  # others go on reading meanwhile
        self._samples.add(self._read[False].copy().items())

    def _differ(self, found: Located, other: Located, audio_path: str) -> bool:
        states = [FileState(str(each.root), audio_path, each.size, each.mtime_ns) for each in (found, other)]
        known = [self._digests.get(state) for state in states]
        whole = self._deep or None not in known
        marks = [self._mark(each, state, whole) for each, state in zip((found, other), states, strict=True)]
        return marks[0] != marks[1]

    def _mark(self, located: Located, state: FileState, whole: bool) -> str:
        """What tells the content of a file: its digest, or that of three samples of it."""
        memory, read = self._digests if whole else self._samples, self._read[whole]
        mark = memory.get(state) or read.get(state)
        if mark is None and located.path is not None:
            mark = read[state] = _digest(located.path) if whole else _sampled(located.path, located.size)
        return mark or ""


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return stream_digest(stream)


def _sampled(path: Path, size: int) -> str:
    """A digest of the beginning, the middle and the end of a file."""
    read = hashlib.sha256()
    with path.open("rb") as stream:
        for place in (0, size // 2, max(size - _SAMPLE_BYTES, 0)):
            stream.seek(place)
            read.update(stream.read(_SAMPLE_BYTES))
    return read.hexdigest()[:DIGEST_HEX]
