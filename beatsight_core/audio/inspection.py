"""Probing a file for the inventory, and remembering what was found while the file stays as it is.

A probe reads the header, a moment after it, and the last frame. A deep one, and one that finds no last frame, decodes
everything and takes the content digest. What depends on the drive rather than on the content is never remembered.
"""

import contextlib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl

from beatsight_core.audio.decoding.decode import open_blocks
from beatsight_core.audio.decoding.ending import Ending, cut_short, open_end
from beatsight_core.audio.decoding.frames import FailedError, block_frames, read_frames, to_mono
from beatsight_core.audio.decoding.polarity import Polarity
from beatsight_core.audio.digests import stream_digest
from beatsight_core.audio.headers.header import Header, open_audio, reaches_its_end
from beatsight_core.audio.roots import Located, Status
from beatsight_core.errors import AudioError
from beatsight_core.files import atomic_path
from beatsight_core.names import place_in
from beatsight_core.settings import Settings

_BEGINNING = 1 << 14
"""Frames that are looked at for channels that cancel each other: they lie beside the header, so no drive seeks."""


@dataclass(frozen=True, slots=True)
class Probe:
    """The result of probing one file.

    Attributes:
        status: State of the file: ok, unreadable, or missing if it vanished just then.
        message: Reason why it is not ok, or a note on a file that is.
        sample_rate: Samples per second.
        channels: Number of channels.
        frames: Frames that are there, at positions that are certain.
        promised: Frames that the file should have, where some are missing; what hits reach into these is unknown.
        subtype: Sample format.
        deep: True if the whole file was decoded.
        digest: Content digest, after a deep probe.
        lasting: True if this depends on the content of the file only.
    """

    status: Status
    message: str = ""
    sample_rate: int | None = None
    channels: int | None = None
    frames: int | None = None
    promised: int | None = None
    subtype: str | None = None
    deep: bool = False
    digest: str | None = None
    lasting: bool = True


def probe(path: Path, *, deep: bool = False) -> Probe:
    """Read a file's header, or all of it; every failure becomes a status."""
    try:
        with path.open("rb") as stream:
            header, is_whole, polarity = _read_header(stream, str(path))
            if deep or not (header.is_cut or is_whole):
                return _probe_deep(stream, str(path), header)
    except FileNotFoundError:
        return Probe(Status.MISSING, "vanished while it was looked at", lasting=False)
    except OSError as error:
        return Probe(Status.UNREADABLE, error.strerror or str(error), lasting=False)
    except AudioError as error:
        return Probe(Status.UNREADABLE, error.why or error.what)
    length = cut_short(header.declared_frames, header.frames) if header.is_cut else ""
    length = open_end(header.frames) if header.is_open_ended else length
    promised = header.declared_frames if header.is_cut else None
    return _probed(header, header.frames, _notes(length, polarity), promised)


def _read_header(stream: BinaryIO, where: str) -> tuple[Header, bool, str]:
    """The header, whether the last frame is there, and what the beginning shows of the channels' polarity."""
    polarity = Polarity()
    with open_audio(stream, where) as opened:
        if opened.header.channels > 1:
            with contextlib.suppress(FailedError):
                frames = read_frames(opened, min(_BEGINNING, block_frames(opened)), None)
                polarity.hear(frames, to_mono(frames, None))
        return opened.header, reaches_its_end(opened), polarity.notice


def _notes(*notes: str) -> str:
    return "; ".join(filter(None, notes))


def _probe_deep(stream: BinaryIO, where: str, header: Header) -> Probe:
    stream.seek(0)
    digest = stream_digest(stream)
    polarity = Polarity()
    try:
        with open_blocks(stream, where, heard=polarity.hear) as blocks:
            for _ in blocks:
                pass
            ending = blocks.ending()
    except AudioError as error:
        broken = _probed(header, header.frames or 0, error.why or error.what)
        return replace(broken, status=Status.UNREADABLE, deep=True, digest=digest)
    message = _notes(ending.why, polarity.notice)
    return replace(_probed(header, ending.frames, message, _promised(header, ending)), deep=True, digest=digest)


def _promised(header: Header, ending: Ending) -> int | None:
    """The frames that should be there, where some are missing."""
    return max(header.declared_frames or 0, ending.frames + 1) if ending.is_missing else None


def _probed(header: Header, frames: int | None, message: str = "", promised: int | None = None) -> Probe:
    return Probe(Status.OK, message, header.rate_hz, header.channels, frames, promised, header.subtype)


_SCHEMA: dict[str, type[pl.DataType]] = {
    "root": pl.String, "audio_path": pl.String, "size": pl.Int64, "mtime_ns": pl.Int64, "status": pl.String,
    "message": pl.String, "sample_rate": pl.Int32, "channels": pl.Int32, "frames": pl.Int64,
    "promised": pl.Int64, "subtype": pl.String, "deep": pl.Boolean,
}  # fmt: skip
_PROBED = [column.name for column in fields(Probe) if column.name in _SCHEMA]


@dataclass(slots=True)
class ProbeMemory:
    """Remembered probes of one source set: `catalog/audio/<source_set>.parquet`."""

    folder: Path
    source_set: str
    _known: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    _changed: bool = False

    @classmethod
    def load(cls, settings: Settings, source_set: str) -> "ProbeMemory":
        """Return what is remembered; nothing if the file is missing or broken, for it can be made again."""
        folder = settings.catalog_dir / "audio"
        try:
            table = pl.read_parquet(place_in(folder, source_set, ".parquet"), glob=False)
        except (OSError, pl.exceptions.PolarsError):
            return cls(folder, source_set)
        if table.schema != _SCHEMA:
            return cls(folder, source_set)
        return cls(folder, source_set, {(row["root"], row["audio_path"]): row for row in table.iter_rows(named=True)})

    def get(self, located: Located, audio_path: str, *, deep: bool) -> Probe | None:
        """Return the remembered probe of a file that is unchanged since, if it was deep enough."""
        row = self._known.get((str(located.root), audio_path))
        if row is None or (row["size"], row["mtime_ns"]) != (located.size, located.mtime_ns):
            return None
        if deep and not row["deep"]:
            return None
        return Probe(**{name: row[name] for name in _PROBED} | {"status": Status(row["status"])})

    def add(self, located: Located, audio_path: str, probed: Probe) -> None:
        """Remember a probe, unless it says nothing lasting."""
        key = (str(located.root), audio_path)
        row = dict(zip(_SCHEMA, (*key, located.size, located.mtime_ns), strict=False))
        row |= {name: getattr(probed, name) for name in _PROBED} | {"status": str(probed.status)}
        if probed.lasting and self._known.get(key) != row:
            self._known[key] = row
            self._changed = True

    def save(self) -> None:
        """Write what is new.

        Raises:
            StorageError: The drive is full, read-only, or gone.
        """
        if not self._changed:
            return
        rows = [self._known[key] for key in sorted(self._known)]
        file = place_in(self.folder, self.source_set, ".parquet")  # now: another set may have come meanwhile
        with atomic_path(file) as temporary:
            pl.DataFrame(rows, schema=_SCHEMA, orient="row").write_parquet(temporary)
        self._changed = False
