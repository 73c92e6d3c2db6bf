"""What an audio file says about itself, held to the limits of audio, and opening it for decoding.

libsndfile quietly shortens a WAV or AIFF whose end is missing to what is there. The promise is therefore read from the
container's own chunks, so that a cut file can be told from a short one.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import soundfile as sf

from beatsight_core.audio.decoding.opened_file import Source, UnusableAudioError, decoding
from beatsight_core.audio.headers.container_kinds import read_container
from beatsight_core.audio.headers.containers import Container
from beatsight_core.audio.headers.header_limits import MAX_FRAMES, Facts

_SAMPLE_BYTES = {
    "PCM_S8": 1, "PCM_U8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8, "ULAW": 1, "ALAW": 1,
}  # fmt: skip


def _remembers(subtype: str) -> bool:
    return subtype == "OPUS" or subtype.startswith("MPEG_LAYER")


@dataclass(frozen=True, slots=True)
class Header:
    """The header of an audio file.

    Attributes:
        rate_hz: Samples per second and channel.
        channels: Number of channels.
        frames: Frames that libsndfile finds; None if only decoding can tell.
        declared_frames: Frames that the file was meant to hold; None if it does not say.
        subtype: libsndfile's name of the sample format, as PCM_24.
        format: libsndfile's name of the container, as WAV.
        is_open_ended: True if a container of uncompressed audio leaves open how much follows: all of it was taken.
    """

    rate_hz: int
    channels: int
    frames: int | None
    declared_frames: int | None
    subtype: str
    format: str
    is_open_ended: bool = False

    @property
    def is_cut(self) -> bool:
        """Whether frames are missing at the end, as far as the header shows."""
        return self.frames is not None and self.declared_frames is not None and self.frames < self.declared_frames

    @property
    def is_counted(self) -> bool:
        """Whether the place of a sample follows from counting bytes, so that only the end can be missing."""
        return self.format not in ("FLAC", "OGG", "MP3") and not self.subtype.startswith("ALAC")

    @property
    def remembers(self) -> bool:
        """Whether the decoder gives other last bits once it was moved."""
        return _remembers(self.subtype)

    @property
    def is_estimate(self) -> bool:
        """Whether the number of frames is only estimated: formats that drop what nobody hears do not write it down."""
        return self.subtype in ("VORBIS", "OPUS") or self.subtype.startswith("MPEG_LAYER")


class Forward(sf.SoundFile):  # type: ignore[misc]
    """A file that is read from its start to its end: no seek follows a read.

    It would take FLAC long, and an MP3 decoder that was moved lacks what the next frames borrow from those before: up
    to 20 ms of noise at the beginning of every block.
    """

    def seekable(self) -> bool:
        """Return whether a seek follows every read: never."""
        return False


@dataclass(frozen=True, slots=True)
class Opened:
    """An audio file that is open.

    Attributes:
        file: Decoder, to be used inside `decoding(source)` only.
        source: Stream that the decoder reads from.
        header: Header of the file, within the limits of audio.
    """

    file: sf.SoundFile
    source: Source
    header: Header


@contextlib.contextmanager
def open_audio(stream: BinaryIO, where: str, kind: type[sf.SoundFile] = Forward) -> Iterator[Opened]:
    """Open an audio file for the block.

    Args:
        stream: The file or its bytes.
        where: Name of the file in errors.
        kind: Class to open it as; `soundfile.SoundFile` where places are sought.

    Raises:
        UnusableAudioError: The file is not audio that libsndfile reads, its header is no audio header, or no frame
            follows.
        OSError: The drive failed.
    """
    container = read_container(stream)
    skip = container.skip if container.head else 0
    source = Source(stream, where, container.head or b"", skip, container.told or 0)
    _require_sense(container, where)
    try:
        with decoding(source):
            file = kind(source)
            if _remembers(file.subtype) and sf.SoundFile.seekable(file):
                file.seek(0)  # as `soundfile.read` does, so that the last bits are the same, too
    except UnusableAudioError as error:
        raise _refused(error, container) from error
    try:
        source.header_is_read()
        header = _header_of(file, container, where)
        yield Opened(file, source, header)
    finally:
        with contextlib.suppress(Exception):  # whatever it says now is of no account any more
            file.close()


def reaches_its_end(opened: Opened) -> bool:
    """Return whether the last frame that a header promises can be read. This tells a cut FLAC, whose size says nothing.

    A whole file answers in half a millisecond, as the decoder goes straight to the end.

    Raises:
        OSError: The drive failed.
    """
    if opened.header.frames is None:
        return False
    try:
        with decoding(opened.source):
            opened.file.seek(opened.header.frames - 1)
            return len(opened.file.read(1, dtype="int16")) == 1
    except UnusableAudioError:
        return False


def _require_sense(container: Container, where: str) -> None:
    """Refuse what no decoder need be asked about."""
    fault = container.fault or (container.facts.refusal if container.facts else None)
    if fault:
        raise UnusableAudioError.of("The header of an audio file makes no sense", where, fault)


def _header_of(file: sf.SoundFile, container: Container, where: str) -> Header:
    facts = Facts(file.samplerate, file.channels, None, file.format)
    if facts.refusal:
        raise UnusableAudioError.of("The header of an audio file makes no sense", where, facts.refusal)
    frames = file.frames if file.frames < MAX_FRAMES else None
    if frames is not None and frames <= 0:
        why = _statement(container) or "its header promises no samples"
        raise UnusableAudioError.of("An audio file holds no audio", where, f"it holds no audio: {why}")
    declared = _declared(container, frames, file.channels * _SAMPLE_BYTES.get(file.subtype, 0))
    return Header(file.samplerate, file.channels, frames, declared, file.subtype, file.format, container.is_open_ended)


def _declared(container: Container, frames: int | None, frame_bytes: int) -> int | None:
    """The frames that a header promises: those that libsndfile finds, and in proportion those that are missing."""
    if container.is_open_ended:
        return None
    if frames is None or container.promised is None or container.promised <= container.there:
        return frames
    if frame_bytes:
        return max(container.promised // frame_bytes, frames)
    return frames * container.promised // max(container.there, 1)


def _refused(error: UnusableAudioError, container: Container) -> UnusableAudioError:
    """The error for a file that a decoder refuses, with what its header says."""
    statement = _statement(container)
    why = f"{error.why} ({statement})" if statement else error.why
    return UnusableAudioError(error.what, where=error.where, why=why, do=error.do)


def _statement(container: Container) -> str:
    """What a header says, in words; empty if nothing of it could be read."""
    parts = [container.facts.text] if container.facts else []
    if container.size is not None:
        parts.append(f"{container.size:,} bytes of samples")
    return f"its header says: {', '.join(parts)}" if parts else ""
