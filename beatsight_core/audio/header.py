"""What an audio file says about itself: rate, channels, frames, subtype, and how many frames its header promises.

libsndfile quietly shortens a WAV or AIFF whose end is missing to what is there. The promise is therefore read from the
container's own chunks, so that a cut file can be told from a short one.
"""

from dataclasses import dataclass
from typing import BinaryIO

import soundfile as sf

from beatsight_core.errors import AudioError

MAX_FRAMES = 1 << 40
"""More frames than this in a header mean that the length is not known (a FLAC that was streamed says so)."""

_UNKNOWN_SIZE = 0xFFFFFFFF
_PLAIN_WAV_TAGS = (0x0001, 0x0003, 0xFFFE)  # PCM, float, extensible: one block per frame


@dataclass(frozen=True, slots=True)
class Header:
    """The header of an audio file.

    Attributes:
        rate_hz: Samples per second and channel.
        channels: Channels.
        frames: Frames that libsndfile finds; None if only decoding can tell.
        declared_frames: Frames that the file was meant to hold; None if it does not say.
        subtype: libsndfile's name of the sample format, as PCM_24.
    """

    rate_hz: int
    channels: int
    frames: int | None
    declared_frames: int | None
    subtype: str

    @property
    def is_cut(self) -> bool:
        """Whether frames are missing at the end, as far as the header shows."""
        return self.frames is not None and self.declared_frames is not None and self.frames < self.declared_frames


def read_header(stream: BinaryIO, where: str) -> Header:
    """Read the header of an audio file.

    Args:
        stream: The open file or its bytes; its position afterwards is not defined.
        where: Names the file in errors.

    Raises:
        AudioError: It is not audio that libsndfile reads, or it holds no frame.
        OSError: The drive failed.
    """
    declared = declared_frames(stream)
    stream.seek(0)
    try:
        with sf.SoundFile(stream) as file:
            return header_of(file, declared, where)
    except sf.LibsndfileError as error:
        raise not_audio(error, where) from error


def reaches_its_end(stream: BinaryIO) -> bool:
    """Whether the last frame that the header promises can be read: tells a cut FLAC, whose size says nothing.

    A whole file answers in half a millisecond, as the decoder goes straight to the end.
    """
    stream.seek(0)
    try:
        with sf.SoundFile(stream) as file:
            file.seek(file.frames - 1)
            return len(file.read(1, dtype="int16")) == 1
    except sf.LibsndfileError:
        return False


def header_of(file: sf.SoundFile, declared: int | None, where: str) -> Header:
    """The header of an opened file, with `declared_frames` of its container."""
    frames = file.frames if file.frames < MAX_FRAMES else None
    if frames == 0:
        raise AudioError("An audio file holds no audio", where=where, do="replace it")
    if declared is None:
        declared = frames
    return Header(file.samplerate, file.channels, frames, declared, file.subtype)


def not_audio(error: sf.LibsndfileError, where: str) -> AudioError:
    """The error for a file that libsndfile refuses, without the stream's address that its message contains."""
    return AudioError("An audio file cannot be read", where=where, why=error.error_string, do="replace it")


def declared_frames(stream: BinaryIO) -> int | None:
    """The frames that a WAV, RF64 or AIFF header promises; None for other containers, or if it leaves that open."""
    stream.seek(0)
    start = stream.read(12)
    if start[:4] in (b"RIFF", b"RF64", b"BW64") and start[8:] == b"WAVE":
        return _declared_by_wav(stream)
    if start[:4] == b"FORM" and start[8:] in (b"AIFF", b"AIFC"):
        return _declared_by_aiff(stream)
    return None


def _declared_by_wav(stream: BinaryIO) -> int | None:
    frame_bytes = 0
    long_size: int | None = None
    while len(head := stream.read(8)) == 8:
        name, size = head[:4], int.from_bytes(head[4:], "little")
        if name == b"data":
            size = long_size if size == _UNKNOWN_SIZE and long_size is not None else size
            return size // frame_bytes if frame_bytes and 0 < size != _UNKNOWN_SIZE else None
        body = stream.read(min(size, 64)) if name in (b"fmt ", b"ds64") else b""
        if name == b"fmt " and int.from_bytes(body[:2], "little") in _PLAIN_WAV_TAGS:
            frame_bytes = int.from_bytes(body[12:14], "little")
        elif name == b"ds64":
            long_size = int.from_bytes(body[8:16], "little")
        stream.seek(size + (size & 1) - len(body), 1)
    return None


def _declared_by_aiff(stream: BinaryIO) -> int | None:
    while len(head := stream.read(8)) == 8:
        name, size = head[:4], int.from_bytes(head[4:], "big")
        if name == b"COMM":
            return int.from_bytes(stream.read(6)[2:6], "big") or None
        stream.seek(size + (size & 1), 1)
    return None
