import io

import pytest
import soundfile as sf

from beatsight_core.audio.header import declared_frames, read_header
from beatsight_core.errors import AudioError


@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64", "AIFF", "FLAC"])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_whole_file_promises_what_it_holds(kind, channels, noise):
    stream = io.BytesIO()
    sf.write(stream, noise(1001, channels), 48000, format=kind, subtype="PCM_24")
    header = read_header(stream, "a")
    assert (header.rate_hz, header.channels, header.frames, header.subtype) == (48000, channels, 1001, "PCM_24")
    assert header.declared_frames == 1001
    assert not header.is_cut


@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64", "AIFF"])
def test_a_cut_file_shows_in_the_header(kind, noise):
    stream = io.BytesIO()
    sf.write(stream, noise(5000), 44100, format=kind)
    cut = io.BytesIO(stream.getvalue()[:-2000])
    header = read_header(cut, "a")
    assert header.is_cut
    assert (header.declared_frames, header.frames) == (5000, 4000)


def test_chunks_before_the_audio_are_passed_over(noise):
    stream = io.BytesIO()
    sf.write(stream, noise(100), 44100, format="WAV")
    data = stream.getvalue()
    with_chunk = data[:12] + b"LIST" + (3).to_bytes(4, "little") + b"abc\0" + data[12:]
    assert declared_frames(io.BytesIO(with_chunk)) == 100


@pytest.mark.parametrize("start", [b"", b"RIFF    WAVE", b"RIFF    WAVEfmt \xff\xff\xff\x7f", b"FORM    AIFFCO"])
def test_torn_headers_promise_nothing(start):
    data = start.replace(b"    ", bytes(4))
    assert declared_frames(io.BytesIO(data)) is None
    with pytest.raises(AudioError):
        read_header(io.BytesIO(data), "a")
