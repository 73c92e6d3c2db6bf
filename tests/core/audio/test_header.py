import contextlib
import io
import struct

import numpy as np
import pytest
import soundfile as sf

from beatsight_core.audio.decoding.opened_file import UnusableAudioError
from beatsight_core.audio.headers.header import open_audio, reaches_its_end


def encoded(samples, kind="WAV", subtype=None, rate=44100) -> bytes:
    stream = io.BytesIO()
    sf.write(stream, samples, rate, format=kind, subtype=subtype)
    return stream.getvalue()


def looked_at(stream):
    with open_audio(stream, "a") as opened:
        return opened.header, reaches_its_end(opened)


def header_of(data: bytes):
    return looked_at(io.BytesIO(data))[0]


@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64", "W64", "AIFF", "CAF", "AU", "FLAC"])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_whole_file_promises_what_it_holds(kind, channels, noise):
    header, is_whole = looked_at(io.BytesIO(encoded(noise(1001, channels), kind, "PCM_24")))
    assert (header.rate_hz, header.channels, header.frames, header.subtype) == (44100, channels, 1001, "PCM_24")
    assert header.declared_frames == 1001
    assert is_whole
    assert (header.is_cut, header.is_open_ended) == (False, False)


@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64", "W64", "AIFF", "CAF", "AU"])
@pytest.mark.parametrize("subtype", ["PCM_16", "ULAW"])
def test_a_cut_file_shows_in_the_header(kind, subtype, noise):
    data = encoded(noise(5000), kind, subtype)
    header = header_of(data[:-2000])
    assert header.is_cut
    assert (header.declared_frames, header.frames) == (5000, 4000 if subtype == "PCM_16" else 3000)


@pytest.mark.parametrize("subtype", ["MS_ADPCM", "IMA_ADPCM", "GSM610"])
def test_a_cut_file_of_blocks_promises_in_proportion(subtype, noise):
    data = encoded(noise(50_000), "WAV", subtype, 8000)
    whole, cut = header_of(data), header_of(data[: len(data) // 2])
    assert cut.is_cut
    assert cut.declared_frames == pytest.approx(whole.frames, rel=0.02)


def test_chunks_before_the_audio_are_passed_over(noise):
    data = encoded(noise(100))
    header = header_of(data[:12] + b"LIST" + (3).to_bytes(4, "little") + b"abc\0" + data[12:])
    assert (header.frames, header.declared_frames) == (100, 100)


def test_chunks_after_the_audio_are_no_samples(noise):
    assert header_of(encoded(noise(100)) + b"LIST" + (4).to_bytes(4, "little") + b"abcd").frames == 100


def test_an_empty_file_is_called_so():
    with pytest.raises(UnusableAudioError, match="it is empty"):
        header_of(b"")


@pytest.mark.parametrize("start", [b"RIFF    WAVE", b"RIFF    WAVEfmt \xff\xff\xff\x7f", b"FORM    AIFFCO"])
def test_torn_headers_are_refused(start):
    with pytest.raises(UnusableAudioError):
        header_of(start.replace(b"    ", bytes(4)))


def wav(samples, **fields) -> bytes:
    """A WAV whose header says what it is told to say."""
    pcm = np.asarray(samples * 32767).astype("<i2").tobytes()
    says = {"code": 1, "channels": 1, "rate": 8000, "byte_rate": 16000, "block": 2, "bits": 16} | fields
    size = fields.get("size", len(pcm))
    fmt = struct.pack("<HHIIHH", *(says[name] for name in ("code", "channels", "rate", "byte_rate", "block", "bits")))
    body = b"WAVEfmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", size) + pcm
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"rate": 1}, "a sample rate of 1 Hz is none of audio"),
        ({"rate": 0}, "a sample rate of 0 Hz"),
        ({"rate": 999}, "a sample rate of 999 Hz"),
        ({"rate": 768_001}, "a sample rate of 768,001 Hz"),
        ({"rate": 0xFFFFFFFF}, "a sample rate of 4,294,967,295 Hz"),
        ({"channels": 0}, "0 channels are none of audio"),
        ({"channels": 257}, "257 channels"),
        ({"channels": 65_535}, "65,535 channels"),
        ({"bits": 0}, "samples of 0 bits are none of audio"),
        ({"bits": 65_535}, "samples of 65,535 bits"),
        ({"bits": 33}, "33 bits"),
        ({"code": 0x55}, "format 0x0055"),
        ({"size": 1}, "1 bytes of samples"),
    ],
)
def test_a_refusal_quotes_the_header(fields, said, noise):
    with pytest.raises(UnusableAudioError) as error:
        header_of(wav(noise(2000), **fields))
    assert said in (error.value.why or "")


@pytest.mark.parametrize(
    ("kind", "subtype", "place", "value", "said"),
    [
        ("AIFF", "PCM_16", 28, bytes(10), "a sample rate of 0 Hz"),
        ("AIFF", "PCM_16", 28, b"\x7f\xff" + b"\xff" * 8, "a sample rate of inf Hz"),
        ("AIFF", "PCM_16", 20, b"\xff\xff", "65,535 channels"),
        ("CAF", "PCM_16", 20, struct.pack(">d", 3.5), "a sample rate of 3.5 Hz"),
        ("CAF", "PCM_16", 20, struct.pack(">d", float("nan")), "a sample rate of nan Hz"),
        ("AU", "PCM_16", 16, (2).to_bytes(4, "big"), "a sample rate of 2 Hz"),
        ("AU", "PCM_16", 4, (1 << 30).to_bytes(4, "big"), "after the end of the file"),
        ("W64", "PCM_16", 68, (5).to_bytes(4, "little"), "a sample rate of 5 Hz"),
        ("RF64", "PCM_16", 60, (7).to_bytes(4, "little"), "a sample rate of 7 Hz"),
        ("FLAC", "PCM_16", 18, bytes(3), "a sample rate of 0 Hz"),
    ],
)
def test_every_container_is_held_to_the_same_limits(kind, subtype, place, value, said, noise):
    data = bytearray(encoded(noise(2000), kind, subtype))
    data[place : place + len(value)] = value
    with pytest.raises(UnusableAudioError) as error:
        header_of(bytes(data))
    assert said in (error.value.why or "")


def test_an_ogg_is_held_to_them_too(noise):
    data = encoded(noise(2000), "OGG", "VORBIS")
    at = data.index(b"\x01vorbis") + 12
    with pytest.raises(UnusableAudioError, match="2 Hz"):
        header_of(data[:at] + (2).to_bytes(4, "little") + data[at + 4 :])


@pytest.mark.parametrize("rate", [1000, 768_000])
def test_the_limits_themselves_are_audio(rate, noise):
    assert header_of(wav(noise(2000), rate=rate)).rate_hz == rate


def test_fields_that_nobody_needs_may_say_anything(noise):
    for fields in ({"block": 0}, {"block": 65_535}, {"byte_rate": 1}):
        header = header_of(wav(noise(2000), **fields))
        assert (header.frames, header.is_cut) == (2000, False)


W64_BEGINS = "726966662e91cf11a5d628db04c10000 0000000000000000 77617665f3acd3118cd100c04f8edb8a"


@pytest.mark.parametrize(
    "start",
    [
        bytes.fromhex(W64_BEGINS), b"FORM\x0b\xeb\xc2\0AIFF", b"RIFF\0\xc2\xeb\x0bWAVE", b"RF64\xff\xff\xff\xffWAVE",
        b"caff\0\1\0\0",
        b"OggS", b"fLaC", b"\xff\xfb\x90\0", b".snd", b"\xf0\x7e\0\1",
    ],
)  # fmt: skip
def test_the_first_nonsense_ends_the_walk(start, tmp_path):
    path = tmp_path / "zeros"
    with path.open("wb") as file:
        file.write(start)
        file.truncate(200 << 20)  # nothing is written of it
    with Counting(path) as counted, pytest.raises(UnusableAudioError):
        looked_at(counted)
    assert counted.reads < 200_000
    assert counted.bytes < 32 << 20


@pytest.mark.parametrize(("kind", "name", "place", "width"), [("W64", b"fmt \xf3", 16, 8), ("CAF", b"desc", 4, 8)])
@pytest.mark.parametrize("size", [1 << 40, (1 << 62) + 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
def test_a_chunk_that_is_longer_than_any_file_is_the_last(kind, name, place, width, size, noise):
    data = bytearray(encoded(noise(2000), kind, "PCM_16"))
    at = data.index(name) + place
    data[at : at + width] = size.to_bytes(width, "little" if kind == "W64" else "big")
    with contextlib.suppress(UnusableAudioError):
        header_of(bytes(data))


@pytest.mark.parametrize(("start", "order"), [(b"RIFF\xff\xff\xff\xffWAVE", "little"), (b"FORM\0\0\0\0AIFF", "big")])
def test_a_walk_through_chunks_without_end_is_broken_off(start, order):
    data = start + (b"JUNK" + bytes(4)) * 400_000
    with pytest.raises(UnusableAudioError, match=r"does not end|No 'data'|Channel count|No 'SSND'|cannot be read"):
        header_of(data)


class Counting(io.FileIO):
    """A file that counts how often it is read, and how much."""

    reads = 0
    bytes = 0

    def readinto(self, buffer):
        count = super().readinto(buffer)
        self.reads, self.bytes = self.reads + 1, self.bytes + count
        return count

    def read(self, size=-1):
        data = super().read(size)
        self.reads, self.bytes = self.reads + 1, self.bytes + len(data)
        return data
