"""Probing a file for the inventory, and remembering what was found while the file stays as it is.

A probe reads the header and the last frame. A deep one, and one that finds no last frame, decodes everything and takes
the content digest. What depends on the drive rather than on the file's content is never remembered.
"""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import polars as pl

from beatsight_core.audio.decode import decode, truncation
from beatsight_core.audio.digests import content_digest
from beatsight_core.audio.header import Header, reaches_its_end, read_header
from beatsight_core.audio.roots import Located, Status
from beatsight_core.errors import AudioError
from beatsight_core.files import atomic_path, file_name
from beatsight_core.settings import Settings


@dataclass(frozen=True, slots=True)
class Probe:
    """What a probe found.

    Attributes:
        status: ok, unreadable, or missing if the file vanished just then.
        message: Why it is not ok.
        sample_rate: Hertz.
        channels: Channels.
        frames: Frames that are there.
        subtype: Sample format.
        deep: Whether everything was decoded.
        digest: Content digest, after a deep probe.
        lasting: Whether this depends on the file's content only.
    """

    status: Status
    message: str = ""
    sample_rate: int | None = None
    channels: int | None = None
    frames: int | None = None
    subtype: str | None = None
    deep: bool = False
    digest: str | None = None
    lasting: bool = True


def probe(path: Path, *, deep: bool = False) -> Probe:
    """Read a file's header, or all of it; every failure becomes a status."""
    try:
        with path.open("rb") as stream:
            header = read_header(stream, str(path))
            frames = header.frames
            if deep or frames is None or not (header.is_cut or reaches_its_end(stream)):
                return _probe_deep(path, header)
    except FileNotFoundError:
        return Probe(Status.MISSING, "vanished while it was looked at", lasting=False)
    except OSError as error:
        return Probe(Status.UNREADABLE, error.strerror or str(error), lasting=False)
    except AudioError as error:
        return Probe(Status.UNREADABLE, error.why or error.what)
    if header.is_cut:
        return _probed(header, frames, Status.UNREADABLE, truncation(header.declared_frames, frames))
    return _probed(header, frames)


def _probe_deep(path: Path, header: Header) -> Probe:
    data = path.read_bytes()
    found: dict[str, Any] = {"deep": True, "digest": content_digest(data)}
    try:
        decoded = decode(data, str(path))
    except AudioError as error:
        return _probed(header, header.frames or 0, Status.UNREADABLE, error.why or error.what, **found)
    if decoded.is_truncated:
        message = truncation(decoded.declared_frames, decoded.frames)
        return _probed(header, decoded.frames, Status.UNREADABLE, message, **found)
    return _probed(header, decoded.frames, **found)


def _probed(header: Header, frames: int, status: Status = Status.OK, message: str = "", **found: Any) -> Probe:
    return Probe(status, message, header.rate_hz, header.channels, frames, header.subtype, **found)


_SCHEMA: dict[str, Any] = {
    "root": pl.String, "audio_path": pl.String, "size": pl.Int64, "mtime_ns": pl.Int64, "status": pl.String,
    "message": pl.String, "sample_rate": pl.Int32, "channels": pl.Int32, "frames": pl.Int64, "subtype": pl.String,
    "deep": pl.Boolean,
}  # fmt: skip
_PROBED = [column.name for column in fields(Probe) if column.name in _SCHEMA]


@dataclass(slots=True)
class ProbeMemory:
    """Remembered probes of one source set: `catalog/audio/<source_set>.parquet`."""

    file: Path
    _known: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    _changed: bool = False

    @classmethod
    def load(cls, settings: Settings, source_set: str) -> "ProbeMemory":
        """What is remembered; nothing if the file is missing or broken, for it can be made again."""
        file = settings.catalog_dir / "audio" / f"{file_name(source_set)}.parquet"
        try:
            table = pl.read_parquet(file, glob=False)
        except (OSError, pl.exceptions.PolarsError):
            return cls(file)
        if table.schema != _SCHEMA:
            return cls(file)
        return cls(file, {(row["root"], row["audio_path"]): row for row in table.iter_rows(named=True)})

    def get(self, located: Located, audio_path: str, *, deep: bool) -> Probe | None:
        """The remembered probe of a file that is as it was then, and deep enough."""
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
        with atomic_path(self.file) as temporary:
            pl.DataFrame(rows, schema=_SCHEMA, orient="row").write_parquet(temporary)
        self._changed = False
