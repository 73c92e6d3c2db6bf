"""How far the samples of a file lie where they belong, when fewer decode than its header speaks of.

Uncompressed samples have their place by counting. A FLAC decoder checks every frame and stops at the first bad one.
Vorbis, Opus and MP3 decoders pass over what is broken, and all that follows comes too early; their headers only
estimate the length, so a smaller number alone says nothing. There the file itself is asked: where the chain of its
pages or frames breaks and goes on, the proof ends. Nothing is broken where the end is merely missing.
"""

import zlib
from typing import BinaryIO

from beatsight_core.audio.headers.header import Header
from beatsight_core.audio.headers.mp3 import first_frame, frame_at, frames_from, note_in

_OPUS_HZ = 48_000
"""What Opus counts in, whatever its rate."""

_OPUS_LEAD = 3_840
"""Samples that it counts and drops at the beginning; encoders use no more."""

_FLIPPED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))

_LOOK_ON = 1 << 16
"""Bytes after a break in which MP3 frames that go on are looked for."""

_MP3_LAG = 3
"""Frames by which a decoder may lag: its delay, and bits that a frame borrows from those before."""


def proven_frames(stream: BinaryIO, header: Header) -> int | None:
    """Return the frames whose position is proven, of a file whose format only estimates its length.

    Args:
        stream: The file.
        header: Header of the file.

    Returns:
        Frames before the first break; None if none is found, so that all that decodes lies where it belongs.

    Raises:
        OSError: The drive failed.
    """
    if header.format == "OGG":
        reached = _ogg_break(stream)
        if reached is None or header.subtype != "OPUS":
            return reached
        return max(reached - _OPUS_LEAD, 0) * header.rate_hz // _OPUS_HZ
    return _mp3_break(stream) if header.format == "MP3" else None


def _ogg_break(stream: BinaryIO) -> int | None:
    """Pages number themselves, have a checksum, and say how many samples there are up to their end."""
    stream.seek(0)
    before, reached = 0, 0
    expected: dict[bytes, int] = {}
    while head := stream.read(27):
        page = head + stream.read(head[26]) if len(head) == 27 else head
        body = stream.read(sum(page[27:]))
        if not _is_page(page, body):
            return before + reached if stream.read(1) else None
        serial, number = page[14:18], int.from_bytes(page[18:22], "little")
        if serial not in expected:  # another stream begins, be it in a chain
            before, reached = before + reached, 0
        elif number != expected[serial]:
            return before + reached
        expected[serial] = number + 1
        reached = max(reached, int.from_bytes(page[6:14], "little", signed=True))
    return None


def _is_page(page: bytes, body: bytes) -> bool:
    """Whether a page is whole: its checksum is the usual CRC-32 with all bits turned round and no inversion."""
    if page[:4] != b"OggS" or len(page) < 27 or len(body) != sum(page[27:]):
        return False
    summed = zlib.crc32((page[:22] + bytes(4) + page[26:] + body).translate(_FLIPPED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{summed:032b}"[::-1], 2) == int.from_bytes(page[22:26], "little")


def _mp3_break(stream: BinaryIO) -> int | None:
    """Each frame says how long it is. Only files that count their frames take part: of others no number is known."""
    place = first_frame(stream)
    if note_in(stream, place) is None:
        return None
    frames, samples, end = 0, 0, place
    for end, frame in frames_from(stream, place):  # noqa: B007 - the last end is asked for below
        frames += 1
        samples = frame.samples
    stream.seek(end)
    rest = stream.read(_LOOK_ON)
    goes_on = any(_goes_on(stream, end + at) for at in range(len(rest) - 4) if rest[at] == 0xFF)
    return max(frames - _MP3_LAG, 0) * samples if goes_on else None


def _goes_on(stream: BinaryIO, place: int) -> bool:
    """Whether three frames follow one another from a place on."""
    for _ in range(3):
        frame = frame_at(stream, place)
        if frame is None:
            return False
        place += frame.size
    return True
