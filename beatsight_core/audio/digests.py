"""Content digests of audio files, remembered so that an unchanged file need not be read to know what is in it.

One text file per source set that is only ever appended to, a line per file read; of two lines on one file the later
holds. A line that a crash cut short is skipped: then that file is read once more. Deleting all of it costs only time.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import orjson

from beatsight_core.files import DIGEST_HEX, storage_errors
from beatsight_core.names import place_in
from beatsight_core.settings import Settings


@dataclass(frozen=True, slots=True)
class FileState:
    """The state of a file as a folder listing shows it; while it is unchanged, so is the content."""

    root: str
    audio_path: str
    size: int
    mtime_ns: int


def content_digest(data: bytes) -> str:
    """Return the digest of a file's bytes: the head of their SHA-256."""
    return hashlib.sha256(data).hexdigest()[:DIGEST_HEX]


def stream_digest(stream: BinaryIO) -> str:
    """Return `content_digest` of the rest of an opened file, without holding it."""
    return hashlib.file_digest(stream, "sha256").hexdigest()[:DIGEST_HEX]  # type: ignore[arg-type]


class DigestMemory:
    """The remembered content digests of one source set.

    Args:
        settings: Settings that say where digests lie.
        source_set: Name of the source set.
        kind: Word in the file's name that tells what the digests are of.
    """

    def __init__(self, settings: Settings, source_set: str, kind: str = "digests"):
        self._where = settings.catalog_dir / "audio", source_set, f".{kind}.jsonl"
        self._known = _read(place_in(*self._where))

    def get(self, state: FileState) -> str | None:
        """Return the digest of a file in that state, if it was read before."""
        return self._known.get(state)

    def add(self, read: Iterable[tuple[FileState, str]]) -> None:
        """Remember files that were read.

        Raises:
            StorageError: The drive is full, read-only, or gone.
        """
        fresh = {state: digest for state, digest in read if self._known.get(state) != digest}
        if not fresh:
            return
        self._known |= fresh
        lines = [
            orjson.dumps([state.root, state.audio_path, state.size, state.mtime_ns, digest])
            for state, digest in fresh.items()
        ]
        file = place_in(*self._where)  # now, as another source set's may have come meanwhile
        with storage_errors(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("ab") as handle:
                handle.write(b"\n" + b"\n".join(lines) + b"\n")  # the first newline ends a line that was cut


def _read(file: Path) -> dict[FileState, str]:
    known: dict[FileState, str] = {}
    try:
        lines = file.read_bytes().splitlines()
    except FileNotFoundError:
        return known
    for line in lines:
        try:
            root, audio_path, size, mtime_ns, digest = orjson.loads(line)
        except ValueError:
            continue
        known[FileState(root, audio_path, size, mtime_ns)] = digest
    return known
