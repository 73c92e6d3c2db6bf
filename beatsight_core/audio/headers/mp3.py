"""The frames of an MP3, and the note of how many there are, which some files lack or have wrong.

A decoder takes what the note says for the length. Where there is none it guesses, by the size of the file and of the
first frame, which is often larger than the others. Whatever goes beyond that length it never gives. So a walk from
frame to frame finds out how many there are: a note that says less is put right, and where there is none the decoder is
told of so many bytes that it reads on to the end.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from beatsight_core.audio.headers.containers import Container

_KBPS = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}  # fmt: skip
"""(whether MPEG-1, layer) -> kbit/s."""

_SPARE = 2
"""Frames by which a note may be wrong: encoders count their own and the last in different ways."""

_LONGEST_HEAD = 1 << 20
"""Bytes before a note that is put right; pictures in tags are longer at times, and then it stays as it is."""

_PADDING = 4
"""Bytes by which frames of one bit rate differ."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The length of an MP3 frame, from its first four bytes.

    Attributes:
        size: Length in bytes.
        samples: Length in samples.
    """

    size: int
    samples: int


def frame_at(stream: BinaryIO, place: int) -> Frame | None:
    """Return the frame at a position; None if there is none."""
    stream.seek(place)
    head = stream.read(4)
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    rate_code, bit_code, padded = head[2] >> 2 & 3, head[2] >> 4, head[2] >> 1 & 1
    if version == 1 or layer == 4 or rate_code == 3 or bit_code in (0, 15):
        return None
    rate = (44100, 48000, 32000)[rate_code] // {3: 1, 2: 2, 0: 4}[version]
    bits = _KBPS[version == 3, layer][bit_code - 1] * 1000
    if layer == 1:
        return Frame((12 * bits // rate + padded) * 4, 384)
    samples = 1152 if layer == 2 or version == 3 else 576
    return Frame(samples // 8 * bits // rate + padded, samples)


def frames_from(stream: BinaryIO, place: int) -> Iterator[tuple[int, Frame]]:
    """Yield (position of its end, frame) for the frames that follow one another from a position on."""
    while frame := frame_at(stream, place):
        place += frame.size
        yield place, frame


def first_frame(stream: BinaryIO) -> int:
    """Return where the first frame lies: after tags, whose length has seven bits a byte."""
    place = 0
    while True:
        stream.seek(place)
        tag = stream.read(10)
        if tag[:3] != b"ID3" or len(tag) < 10:
            return place
        size = 0
        for byte in tag[6:]:
            size = size << 7 | byte & 0x7F
        place += 10 + size + (10 if tag[5] & 0x10 else 0)


@dataclass(frozen=True, slots=True)
class Note:
    """A frame count, noted in the first frame of a file.

    Attributes:
        frames: Number of frames; 0 if the note leaves it out, or has it in a form that decoders do not read.
        field: Position of the number in the file.
    """

    frames: int
    field: int


def note_in(stream: BinaryIO, place: int) -> Note | None:
    """Return the note in the frame at a position; None if it has none."""
    frame = frame_at(stream, place)
    stream.seek(place)
    start = stream.read(min(frame.size, 64)) if frame else b""
    if b"VBRI" in start:
        return Note(0, place)
    at = max(start.find(b"Xing"), start.find(b"Info"))
    if at < 0:
        return None
    says_how_many = int.from_bytes(start[at + 4 : at + 8], "big") & 1
    return Note(int.from_bytes(start[at + 8 : at + 12], "big") * says_how_many, place + at + 8)


def look(stream: BinaryIO, _: bytes) -> Container:
    """Return an empty container, or one that makes a decoder read on past a length that the file gets wrong."""
    place = first_frame(stream)
    note = note_in(stream, place)
    frames = [frame for _, frame in frames_from(stream, place)]
    if note is None or not note.frames:
        sizes = {frame.size for frame in frames}
        if not sizes or max(sizes) - min(sizes) <= _PADDING:
            return Container()
        return Container(told=place + len(frames) * max(sizes))
    after_note = len(frames) - 1
    if note.frames + _SPARE >= after_note or note.field > _LONGEST_HEAD:
        return Container()
    stream.seek(0)
    head = stream.read(note.field) + after_note.to_bytes(4, "big")
    return Container(head=head, skip=len(head))
