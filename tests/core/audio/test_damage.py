"""Files that only estimate their length: what decodes counts, up to where the file itself shows a gap."""

import io

import numpy as np
import pytest
import soundfile as sf

from beatsight_core.audio.decoding.decode import decode

FRAMES = 48_000


def encoded(kind: str, subtype: str | None = None, frames: int = FRAMES, seed: int = 0) -> bytes:
    stream = io.BytesIO()
    samples = np.random.default_rng(seed).uniform(-0.5, 0.5, frames)
    with sf.SoundFile(stream, "w", 8000, 1, format=kind, subtype=subtype) as file:
        for begin in range(0, frames, 4000):
            file.write(samples[begin : begin + 4000])
    return stream.getvalue()


@pytest.mark.parametrize(("kind", "subtype"), [("MP3", None), ("OGG", "VORBIS"), ("OGG", "OPUS")])
def test_an_end_that_is_missing_breaks_nothing(kind, subtype):
    whole = encoded(kind, subtype)
    cut = decode(whole[: len(whole) * 3 // 4])
    assert not cut.is_truncated
    assert FRAMES // 2 < cut.frames < FRAMES
    np.testing.assert_array_equal(cut.samples[:20_000], decode(whole).samples[:20_000])


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_pages_of_ogg_say_where_the_chain_breaks(subtype):
    whole = encoded("OGG", subtype, 8 * FRAMES)
    expected = decode(whole)
    assert not expected.is_truncated
    data = bytearray(whole)
    pages = [at for at in range(len(data)) if data.startswith(b"OggS", at)]
    middle = pages[len(pages) // 2]
    data[middle + 300 : middle + 310] = bytes(10)
    broken = decode(bytes(data))
    assert broken.is_truncated
    assert broken.ending.reason == "truncated_audio"
    assert "has lost its place" in broken.ending.why
    assert 0.2 * 8 * FRAMES < broken.ending.frames < 0.6 * 8 * FRAMES
    kept = broken.ending.frames
    np.testing.assert_array_equal(broken.samples[:kept], expected.samples[:kept])
    assert not np.array_equal(broken.samples[kept + 20_000 :][:5000], expected.samples[kept + 20_000 :][:5000])


def test_what_decodes_of_an_mp3_counts_and_a_gap_in_it_is_said():
    whole = encoded("MP3", None, 4 * FRAMES)
    gap = bytearray(whole)
    gap[len(gap) // 2 : len(gap) // 2 + 500] = bytes(500)
    broken = decode(bytes(gap))
    assert (broken.is_truncated, broken.ending.frames) == (False, broken.frames)
    assert broken.frames < 4 * FRAMES
    assert "may have lost its place" in broken.ending.why
    after = int(broken.ending.why.split("after ")[1].split(" frames")[0].replace(",", ""))
    assert 1.5 * FRAMES < after < 2.1 * FRAMES


def test_an_mp3_that_breaks_the_decoder_is_kept_up_to_there():
    gap = bytearray(encoded("MP3", None, 4 * FRAMES))
    gap[len(gap) // 2 : len(gap) // 2 + 3000] = bytes(3000)
    broken = decode(bytes(gap))
    assert (broken.is_truncated, broken.ending.reason) == (True, "truncated_audio")
    assert FRAMES < broken.ending.frames == broken.frames < 3 * FRAMES


def noted(data: bytes) -> int:
    """Where an MP3 notes the number of its frames."""
    return max(data.find(b"Xing"), data.find(b"Info")) + 8


def without_note(data: bytes) -> bytes:
    at = noted(data) - 8
    return data[:at] + bytes(4) + data[at + 4 :]  # the frame stays, and says nothing


@pytest.mark.parametrize("tail", [b"", b"TAG" + bytes(125), b"APETAGEX" + bytes(500)])
@pytest.mark.parametrize("lie", [without_note, lambda data: data[: noted(data)] + bytes(4) + data[noted(data) + 4 :]])
def test_an_mp3_that_does_not_count_its_frames_is_as_long_as_it_is(lie, tail):
    """Its frames differ in size, so that what a decoder makes of the first and of the file's size is half of it."""
    data = lie(encoded("MP3")) + tail
    decoded = decode(data)
    guessed = sf.read(io.BytesIO(data), dtype="float32")[0]
    assert len(guessed) < 0.6 * FRAMES
    assert FRAMES <= decoded.frames < FRAMES + 3000
    assert not decoded.is_truncated
    np.testing.assert_array_equal(decoded.samples[: len(guessed)], guessed)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.9])
def test_an_mp3_that_notes_too_few_frames_is_as_long_as_it_is(share):
    whole = encoded("MP3")
    count = int.from_bytes(whole[noted(whole) :][:4], "big")
    data = whole[: noted(whole)] + int(count * share).to_bytes(4, "big") + whole[noted(whole) + 4 :]
    np.testing.assert_array_equal(decode(data).samples, decode(whole).samples)


def test_a_cut_mp3_that_does_not_count_is_kept_to_its_end():
    whole = without_note(encoded("MP3"))
    cut = decode(whole[: len(whole) // 2])  # in the middle of a frame
    kept = cut.samples
    assert not cut.is_truncated
    assert 0.4 * FRAMES < len(kept) < 0.7 * FRAMES
    np.testing.assert_array_equal(kept, decode(whole).samples[: len(kept)])


def test_a_tag_before_and_after_is_no_gap():
    whole = encoded("MP3")
    tag = b"ID3\x04\0\0\0\0\x07\x68" + bytes(1000)
    tagged = decode(tag + whole + b"APETAGEX" + bytes(500))
    assert tagged.ending.why == ""
    np.testing.assert_array_equal(tagged.samples, decode(whole).samples)
