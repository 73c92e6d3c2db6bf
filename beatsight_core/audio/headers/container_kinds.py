"""Reading the chunks of WAV, RF64, W64, AIFF, CAF and AU, and the beginning of FLAC, Ogg and MP3, for what they say."""

import math
import os
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import BinaryIO

from beatsight_core.audio.headers import mp3
from beatsight_core.audio.headers.containers import (
    MOST_CHUNKS,
    Container,
    Samples,
    chunks,
    container_of,
    stands_for_unknown,
)
from beatsight_core.audio.headers.header_limits import Facts

_WAV_CODES = (0x0001, 0x0003, 0xFFFE)  # PCM, float, extensible: a header has their bits
_AIFF_CODES = ("", "NONE", "twos", "sowt", "fl32", "FL32", "fl64", "FL64", "in24", "in32")
_GUID_END = bytes.fromhex("f3acd3118cd100c04f8edb8a")  # of all ids in a W64 but the first
_W64_ID = bytes.fromhex("726966662e91cf11a5d628db04c10000")


def read_container(stream: BinaryIO) -> Container:
    """Return what the chunks of a file say; an empty container if the file is of none of these kinds."""
    stream.seek(0)
    start = stream.read(64)
    if not start:
        return Container(fault="it is empty")
    look = next((look for begins, look in _KINDS if start.startswith(begins)), None)
    return Container() if look is None else look(stream, start)


def _wav(stream: BinaryIO, start: bytes) -> Container:
    """RIFF, its big-endian sister RIFX, and RF64 with a chunk for 64-bit lengths."""
    order = "big" if start[:4] == b"RIFX" else "little"
    facts, long_size = None, None
    for name, size, at in chunks(stream, 12, order):
        if name == b"ds64" and start[:4] != b"RIFF":
            stream.seek(at)
            long_size = int.from_bytes(stream.read(16)[8:], "little")
        elif name == b"fmt ":
            stream.seek(at)
            facts = _wav_facts(stream.read(16), order, start[:4])
        elif name == b"data":
            samples = Samples(at, size if long_size is None else long_size, at - 4, 4, order)
            return _longer_than_riff(container_of(stream, facts, samples), start[:4])
    return Container(facts)


def _wav_facts(fmt: bytes, order: str, kind: bytes) -> Facts | None:
    if len(fmt) < 16:
        return None
    code, channels, rate, _, _, bits = struct.unpack(f"{'<' if order == 'little' else '>'}HHIIHH", fmt)
    return Facts(rate, channels, bits if code in _WAV_CODES else None, f"{kind.decode()} of format 0x{code:04X}")


def _longer_than_riff(found: Container, kind: bytes) -> Container:
    """A header that was put right, as an RF64 where it was one, or where the samples need one."""
    if found.head is None or kind == b"RIFX" or (kind == b"RIFF" and found.there < 1 << 32):
        return found
    inside = found.head[12:-8]
    if inside[:4] == b"ds64":
        inside = inside[8 + int.from_bytes(inside[4:8], "little") :]
    long = struct.pack("<4sIQQQI", b"ds64", 28, 72 + len(inside) + found.there, found.there, 0, 0)
    return replace(found, head=b"RF64\xff\xff\xff\xffWAVE" + long + inside + b"data\xff\xff\xff\xff")


def _w64(stream: BinaryIO, start: bytes) -> Container:
    """Wave64: ids of 16 bytes, lengths of 64 bits that count their own 24 bytes, chunks at multiples of eight."""
    facts, place, end = None, 40, stream.seek(0, os.SEEK_END)
    for _ in range(MOST_CHUNKS):
        if place > end:
            break
        stream.seek(place)
        head = stream.read(24)
        if len(head) < 24 or head[4:16] != _GUID_END:
            break
        size = int.from_bytes(head[16:], "little")
        if head[:4] == b"fmt ":
            facts = _wav_facts(stream.read(16), "little", b"W64")
        elif head[:4] == b"data":
            samples = Samples(place + 24, size, place + 16, 8, "little", counted=24, before_chunks=False)
            return container_of(stream, facts, samples)
        place += max(size + 7 & ~7, 24)
    return Container(facts)


def _aiff(stream: BinaryIO, start: bytes) -> Container:
    """AIFF and AIFF-C: the number of frames stands in one chunk, the length of the samples in another."""
    facts, counted = None, 0
    for name, size, at in chunks(stream, 12, "big"):
        stream.seek(at)
        if name == b"COMM":
            facts, counted = _aiff_facts(stream.read(22), start[8:12] == b"AIFC")
        elif name == b"SSND":
            offset = int.from_bytes(stream.read(4), "big")
            found = container_of(stream, facts, Samples(at + 8 + offset, size, at - 4, 4, "big", counted=8 + offset))
            if found.promised is None or counted <= found.promised:
                return found
            return replace(found, promised=counted)
    return Container(facts)


def _aiff_facts(comm: bytes, has_code: bool) -> tuple[Facts | None, int]:
    """The format, and the bytes of all frames that are counted; 0 if the number of frames is none."""
    if len(comm) < 18:
        return None, 0
    channels, frames, bits = struct.unpack(">HIH", comm[:8])
    code = _code(comm[18:22]) if has_code else ""
    plain = code in _AIFF_CODES
    facts = Facts(_extended(comm[8:18]), channels, bits if plain else None, f"AIFF {code}".rstrip())
    is_count = plain and not stands_for_unknown(frames)
    return facts, frames * channels * ((bits + 7) // 8) if is_count else 0


def _code(code: bytes) -> str:
    """A format's four letters for a message, whatever a file has in their place."""
    text = code.decode("ascii", "replace")
    return text if text.isascii() and text.isprintable() else f"0x{code.hex()}"


def _extended(data: bytes) -> float:
    """An 80-bit number, as AIFF has its rate."""
    exponent, mantissa = struct.unpack(">HQ", data)
    try:
        value = math.ldexp(float(mantissa), (exponent & 0x7FFF) - 16383 - 63)
    except OverflowError:
        value = math.inf
    return -value if exponent & 0x8000 else value


def _caf(stream: BinaryIO, start: bytes) -> Container:
    facts = None
    for name, size, at in chunks(stream, 8, "big", wide=True):
        if name == b"desc":
            stream.seek(at)
            body = stream.read(32)
            if len(body) == 32:
                rate, code, _, _, _, channels, bits = struct.unpack(">d4sIIIII", body)
                facts = Facts(rate, channels, bits if code == b"lpcm" else None, f"CAF of format {_code(code)}")
        elif name == b"data":
            return container_of(stream, facts, Samples(at + 4, size, at - 8, 8, "big", counted=4))
    return Container(facts)


def _au(stream: BinaryIO, start: bytes) -> Container:
    order = "big" if start[:4] == b".snd" else "little"
    if len(start) < 24:
        return Container()
    begin, size, code, rate, channels = struct.unpack(f"{'>' if order == 'big' else '<'}IIIII", start[4:24])
    facts = Facts(rate, channels, None, f"AU of format {code}")
    if begin < 24:
        return Container(facts)
    return container_of(stream, facts, Samples(begin, size, 8, 4, order, before_chunks=False))


def _flac(stream: BinaryIO, start: bytes) -> Container:
    """The stream's own head: 20 bits of rate, 3 of channels, 5 of bits."""
    if len(start) < 26:
        return Container()
    packed = int.from_bytes(start[18:22], "big")
    return Container(Facts(packed >> 12, (packed >> 9 & 7) + 1, (packed >> 4 & 31) + 1, "FLAC"))


def _ogg(stream: BinaryIO, start: bytes) -> Container:
    """The first packet of Vorbis; Opus says only what its input was, and has one rate."""
    packet = start[27 + start[26] :] if len(start) > 26 else b""
    if packet[:7] == b"\x01vorbis" and len(packet) >= 16:
        channels, rate = struct.unpack("<BI", packet[11:16])
        return Container(Facts(rate, channels, None, "Ogg Vorbis"))
    if packet[:8] == b"OpusHead" and len(packet) >= 10:
        return Container(Facts(48000, packet[9], None, "Ogg Opus"))
    return Container()


_KINDS: tuple[tuple[tuple[bytes, ...], Callable[[BinaryIO, bytes], Container]], ...] = (
    ((b"RIFF", b"RIFX", b"RF64", b"BW64"), _wav),
    ((_W64_ID,), _w64),
    ((b"FORM",), _aiff),
    ((b"caff",), _caf),
    ((b".snd", b"dns."), _au),
    ((b"fLaC",), _flac),
    ((b"OggS",), _ogg),
    ((b"ID3", b"\xff"), mp3.look),
)
