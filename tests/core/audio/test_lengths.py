"""Lengths that are none: what writers put that do not know it yet, and recorders that were switched off."""

import io
import struct

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.audio.decoding.decode import decode
from beatsight_core.audio.decoding.opened_file import UnusableAudioError
from beatsight_core.audio.headers.header import open_audio, reaches_its_end

FRAMES = 3000
SAMPLES = np.random.default_rng(5).integers(-20_000, 20_000, (FRAMES, 2), dtype=np.int16)
ENDLESS_32 = (
    0,
    0x7FFFF000,
    0x7FFFF024,
    0x7FFFFFFF - 36,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFF000,
    0xFFFFFFFF - 36,
    0xFFFFFFFF,
)
ENDLESS_64 = (0, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 24, (1 << 64) - 1)


def encoded(kind: str, subtype: str = "PCM_16") -> bytes:
    stream = io.BytesIO()
    sf.write(stream, SAMPLES, 8000, format=kind, subtype=subtype)
    return stream.getvalue()


def with_number(data: bytes, place: int, value: int, width: int, order: str) -> bytes:
    changed = bytearray(data)
    changed[place : place + width] = value.to_bytes(width, order)
    return bytes(changed)


def field(data: bytes, kind: str) -> tuple[int, int, str]:
    """Place, width and byte order of the length of the samples."""
    if kind == "RF64":
        return 28, 8, "little"
    if kind == "W64":
        return data.index(b"data\xf3") + 16, 8, "little"
    if kind == "CAF":
        return data.index(b"data") + 4, 8, "big"
    if kind == "AU":
        return 8, 4, "big"
    return (data.index(b"SSND") + 4, 4, "big") if kind == "AIFF" else (data.index(b"data") + 4, 4, "little")


CASES = [("WAV", size) for size in ENDLESS_32] + [("WAVEX", size) for size in ENDLESS_32]
CASES += [("AIFF", size) for size in (*ENDLESS_32, 8)] + [("AU", size) for size in ENDLESS_32]
CASES += [(kind, size) for kind in ("RF64", "W64", "CAF") for size in ENDLESS_64]


@pytest.mark.parametrize(("kind", "size"), CASES)
def test_a_length_that_is_none_stands_for_all_that_follows(kind, size):
    whole = encoded(kind)
    data = with_number(whole, field(whole, kind)[0], size, *field(whole, kind)[1:])
    decoded = decode(data)
    assert (decoded.frames, decoded.is_truncated, decoded.declared_frames) == (FRAMES, False, None)
    np.testing.assert_array_equal(decoded.samples, decode(whole).samples)
    assert "does not say how long it is" in decoded.ending.why
    assert not decoded.ending.as_written


@pytest.mark.parametrize("riff", [0, 8, 36, 0xFFFFFFFF, None])
@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0xFFFFFFFF])
def test_whatever_the_outer_length_says(riff, size):
    whole = encoded("WAV")
    data = with_number(whole, field(whole, "WAV")[0], size, 4, "little")
    data = data if riff is None else with_number(data, 4, riff, 4, "little")
    assert decode(data).frames == FRAMES


def test_an_aiff_that_was_never_closed_has_no_number_of_frames_either():
    data = encoded("AIFF")
    never = with_number(
        with_number(with_number(data, 4, 0, 4, "big"), 22, 0, 4, "big"), *field(data, "AIFF")[:1], 0, 4, "big"
    )
    assert decode(never).frames == FRAMES


def test_an_rf64_without_its_lengths_is_read_all_the_same():
    data = encoded("RF64")
    assert decode(data[:12] + data[12 + 36 :]).frames == FRAMES


@pytest.mark.parametrize("subtype", ["PCM_24", "FLOAT", "ULAW", "MS_ADPCM", "IMA_ADPCM", "GSM610"])
def test_in_other_sample_formats_too(subtype):
    stream = io.BytesIO()
    sf.write(stream, SAMPLES[:, 0] / 32768, 8000, format="WAV", subtype=subtype)
    whole = stream.getvalue()
    data = with_number(whole, field(whole, "WAV")[0], 0xFFFFFFFF, 4, "little")
    assert decode(data).frames == decode(whole).frames


def test_a_promise_of_some_frames_more_is_one():
    whole = encoded("WAV")
    place = field(whole, "WAV")[0]
    for frames in (FRAMES + 1, 2 * FRAMES, (1 << 31) // 8):
        decoded = decode(with_number(whole, place, 4 * frames, 4, "little"))
        assert (decoded.frames, decoded.declared_frames, decoded.is_truncated) == (FRAMES, frames, True)


def test_part_of_a_frame_is_none():
    whole = encoded("WAV")
    odd = with_number(whole + b"\x01\x02\x03", field(whole, "WAV")[0], 4 * FRAMES + 3, 4, "little")
    assert (decode(odd).frames, decode(odd).is_truncated) == (FRAMES, False)


@pytest.mark.parametrize("kind", ["WAV", "AIFF", "CAF"])
def test_nothing_and_chunks_after_it_are_no_samples(kind):
    stream = io.BytesIO()
    sf.write(stream, np.zeros((0, 2)), 8000, format=kind, subtype="PCM_16")
    for more in (b"", b"LIST" + (8).to_bytes(4, "little" if kind == "WAV" else "big") + b"12345678"):
        if kind == "CAF" and more:
            more = b"free" + (8).to_bytes(8, "big") + b"12345678"  # noqa: PLW2901
        with pytest.raises(UnusableAudioError):
            decode(stream.getvalue() + more)


def sparse_wav(path, size: int, bytes_of_samples: int):
    fmt = struct.pack("<HHIIHH", 1, 1, 48_000, 96_000, 2, 16)
    with path.open("wb") as file:
        file.write(b"RIFF" + struct.pack("<I", size) + b"WAVEfmt " + struct.pack("<I", 16) + fmt + b"data")
        file.write(struct.pack("<I", size))
        file.truncate(44 + bytes_of_samples)
    return path


@pytest.mark.parametrize(
    ("size", "there"),
    [(0xFFFFFFFF, 5 << 30), (0x7FFFF000, 5 << 30), (0, 6 << 30), ((5 << 30) % (1 << 32), 5 << 30),
     (1000, (1 << 32) + 1000)],
)  # fmt: skip
def test_a_wav_of_more_than_four_gigabytes_is_read_to_its_end(tmp_path, size, there):
    path = sparse_wav(tmp_path / "long.wav", size, there)
    with path.open("rb") as stream, open_audio(stream, "long.wav") as opened:
        assert (opened.header.frames, opened.header.is_open_ended) == (there // 2, True)
        assert reaches_its_end(opened)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["WAV", "RF64", "W64", "AIFF", "CAF", "AU"]), st.integers(0, (1 << 64) - 1), st.integers(0, 64))
def test_no_length_at_all_makes_up_samples_or_breaks_anything(kind, value, shift):
    whole = encoded(kind)
    place, width, order = field(whole, kind)
    try:
        decoded = decode(with_number(whole, place, value >> shift & (1 << 8 * width) - 1, width, order))
    except UnusableAudioError:
        return
    np.testing.assert_array_equal(decoded.samples, decode(whole).samples[: decoded.frames])
