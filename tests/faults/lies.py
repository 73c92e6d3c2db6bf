"""Audio files whose headers lie: about rate, channels, bits, block sizes, lengths and counts, one field at a time."""

import io
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import soundfile as sf

from tests.faults.corpus import RATE_HZ

SECONDS = 1.2

Change = Callable[[bytearray], None]

_FLIPPED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True)
class Field:
    """A number in a header.

    Attributes:
        name: Its name.
        place: Place in the file.
        width: Bytes of it.
        order: Byte order.
        kind: "int", "float" (8 bytes) or "extended" (10 bytes).
    """

    name: str
    place: int
    width: int
    order: str = "little"
    kind: str = "int"

    def write(self, data: bytearray, value: float) -> None:
        """Put a value there, as far as it fits."""
        if self.kind == "float":
            data[self.place : self.place + 8] = struct.pack(">d", float(value))
        elif self.kind == "extended":
            data[self.place : self.place + 10] = _extended(float(value))
        else:
            whole = int(value) & (1 << 8 * self.width) - 1
            data[self.place : self.place + self.width] = whole.to_bytes(self.width, self.order)


@dataclass(frozen=True)
class Lie:
    """A file and what its header says wrongly.

    Attributes:
        suffix: Ending of its name.
        data: Its bytes.
        about: The container and the field.
        value: What it says.
    """

    suffix: str
    data: bytes
    about: str
    value: float


def make(rng: random.Random) -> Lie:
    """A file of a random kind with a lie in a random field."""
    kind, subtype, suffix, fields = rng.choice(_KINDS)
    samples = np.random.default_rng(rng.randrange(1 << 30)).uniform(
        -0.5, 0.5, (round(SECONDS * RATE_HZ), rng.choice((1, 2)))
    )
    stream = io.BytesIO()
    sf.write(stream, samples, RATE_HZ, format=kind, subtype=subtype)
    data = bytearray(stream.getvalue())
    field = rng.choice(fields(bytes(data)))
    value = rng.choice(_VALUES) if rng.random() < 0.7 else rng.getrandbits(8 * field.width)
    field.write(data, value)
    if kind == "OGG":
        _seal_pages(data)
    return Lie(suffix, bytes(data), f"{kind} {field.name}", value)


_VALUES = (
    0, 1, 2, 3, 7, 8, 16, 24, 32, 64, 100, 255, 256, 257, 999, 1000, 4096, 44_100, 65_535, 768_000, 768_001, 1_000_000,
    0x7FFFF000, 0x7FFFFFFF - 36, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF - 36, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1,
    (1 << 64) - 1,
)  # fmt: skip


def _fmt(at: int) -> list[Field]:
    """The fields of a WAV's format, which begins at a place."""
    return [
        Field("format", at, 2), Field("channels", at + 2, 2), Field("rate", at + 4, 4), Field("byte rate", at + 8, 4),
        Field("block", at + 12, 2), Field("bits", at + 14, 2),
    ]  # fmt: skip


def _wav(data: bytes) -> list[Field]:
    at = data.index(b"fmt ")
    return [
        *_fmt(at + 8),
        Field("fmt size", at + 4, 4),
        Field("size", data.index(b"data") + 4, 4),
        Field("riff size", 4, 4),
    ]


def _rf64(data: bytes) -> list[Field]:
    longs = [Field(name, place, 8) for name, place in (("riff size", 20), ("size", 28), ("count", 36))]
    return [*_fmt(data.index(b"fmt ") + 8), *longs, Field("data size", data.index(b"data") + 4, 4)]


def _w64(data: bytes) -> list[Field]:
    at = data.index(b"fmt ")
    sizes = [Field("riff size", 16, 8), Field("fmt size", at + 16, 8), Field("size", data.index(b"data\xf3") + 16, 8)]
    return [*_fmt(at + 24), *sizes]


def _aiff(data: bytes) -> list[Field]:
    comm, ssnd = data.index(b"COMM") + 8, data.index(b"SSND") + 4
    return [
        Field("channels", comm, 2, "big"), Field("count", comm + 2, 4, "big"), Field("bits", comm + 6, 2, "big"),
        Field("rate", comm + 8, 10, "big", "extended"), Field("comm size", comm - 4, 4, "big"),
        Field("size", ssnd, 4, "big"), Field("offset", ssnd + 4, 4, "big"), Field("form size", 4, 4, "big"),
    ]  # fmt: skip


def _caf(data: bytes) -> list[Field]:
    desc = data.index(b"desc") + 12
    fields = [("format", 8), ("flags", 12), ("block", 16), ("frames a packet", 20), ("channels", 24), ("bits", 28)]
    return [
        Field("rate", desc, 8, "big", "float"), Field("size", data.index(b"data") + 4, 8, "big"),
        *(Field(name, desc + place, 4, "big") for name, place in fields),
    ]  # fmt: skip


def _au(_: bytes) -> list[Field]:
    fields = ("offset", "size", "format", "rate", "channels")
    return [Field(name, 4 + 4 * place, 4, "big") for place, name in enumerate(fields)]


def _flac(_: bytes) -> list[Field]:
    return [
        Field("least block", 8, 2, "big"), Field("greatest block", 10, 2, "big"), Field("greatest frame", 15, 3, "big"),
        Field("rate", 18, 2, "big"), Field("channels and bits", 20, 2, "big"), Field("count", 22, 4, "big"),
        Field("metadata size", 5, 3, "big"),
    ]  # fmt: skip


def _ogg(data: bytes) -> list[Field]:
    head = data.find(b"\x01vorbis")
    last = data.rindex(b"OggS")
    if head < 0:
        head = data.index(b"OpusHead")
        own = [Field("channels", head + 9, 1), Field("skipped", head + 10, 2), Field("rate", head + 12, 4)]
    else:
        own = [Field("channels", head + 11, 1), Field("rate", head + 12, 4), Field("block", head + 28, 1)]
    return [*own, Field("count", last + 6, 8), Field("page number", last + 18, 4)]


def _mp3(data: bytes) -> list[Field]:
    at = max(data.find(b"Xing"), data.find(b"Info"))
    counts = [Field("count", at + 8, 4, "big"), Field("size", at + 12, 4, "big")] if at > 0 else []
    return [*counts, Field("version and layer", 1, 1), Field("rate and bits", 2, 1), Field("channels", 3, 1)]


_KINDS: tuple[tuple[str, str | None, str, Callable[[bytes], list[Field]]], ...] = (
    ("WAV", "PCM_16", "wav", _wav), ("WAV", "FLOAT", "wav", _wav), ("WAV", "PCM_24", "wav", _wav),
    ("WAV", "IMA_ADPCM", "wav", _wav), ("RF64", "PCM_16", "wav", _rf64), ("W64", "PCM_16", "w64", _w64),
    ("AIFF", "PCM_16", "aiff", _aiff), ("AIFF", "FLOAT", "aif", _aiff), ("CAF", "PCM_16", "caf", _caf),
    ("CAF", "ALAC_16", "caf", _caf), ("AU", "PCM_16", "au", _au), ("FLAC", "PCM_16", "flac", _flac),
    ("OGG", "VORBIS", "ogg", _ogg), ("OGG", "OPUS", "opus", _ogg), ("MP3", None, "mp3", _mp3),
)  # fmt: skip


def _extended(value: float) -> bytes:
    """The 80-bit form of a whole number that is not negative."""
    whole = int(value)
    if not whole:
        return bytes(10)
    exponent = whole.bit_length() - 1
    mantissa = whole << 63 - exponent if exponent <= 63 else whole >> exponent - 63
    return struct.pack(">HQ", 16383 + exponent, mantissa)


def _seal_pages(data: bytearray) -> None:
    """Give every page of an Ogg file the checksum of what it holds now, so that it is believed."""
    place = 0
    while data[place : place + 4] == b"OggS" and place + 27 <= len(data):
        table = data[place + 27 : place + 27 + data[place + 26]]
        end = place + 27 + len(table) + sum(table)
        page = bytes(data[place : place + 22]) + bytes(4) + bytes(data[place + 26 : end])
        summed = zlib.crc32(page.translate(_FLIPPED), 0xFFFFFFFF) ^ 0xFFFFFFFF
        data[place + 22 : place + 26] = int(f"{summed:032b}"[::-1], 2).to_bytes(4, "little")
        place = end
