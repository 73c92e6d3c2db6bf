"""What a decoder raises belongs to its file, what the drive raises does not, and neither says a word."""

import ctypes
import errno
import io
import logging
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from beatsight_core.audio.decoding.decode import decode, open_blocks
from beatsight_core.audio.decoding.opened_file import HEADER_READS, Source, UnusableAudioError, decoding
from beatsight_core.audio.decoding.quiet import put_stderr_back, turn_stderr_away
from beatsight_core.audio.headers.header import open_audio, reaches_its_end
from beatsight_core.audio.inspection import probe
from beatsight_core.audio.roots import Status


def encoded(frames: int = 40_000, kind: str = "WAV", subtype: str | None = None) -> bytes:
    stream = io.BytesIO()
    sf.write(stream, np.random.default_rng(2).uniform(-0.5, 0.5, frames), 8000, format=kind, subtype=subtype)
    return stream.getvalue()


class Failing(io.BytesIO):
    """A file whose drive fails once so many bytes were asked for."""

    def __init__(self, data: bytes, after: int, error: BaseException):
        super().__init__(data)
        self._left, self._error = after, error

    def readinto(self, buffer):
        count = super().readinto(buffer)
        self._left -= count
        if self._left < 0:
            raise self._error
        return count


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ENXIO])
def test_a_drive_that_fails_is_no_fault_of_the_file(kind, number, capfd):
    data = encoded(kind=kind)
    for after in (0, 100, len(data) // 2):
        with pytest.raises(OSError, match=os.strerror(number)):  # noqa: SIM117
            with open_blocks(Failing(data, after, OSError(number, os.strerror(number))), "a") as blocks:
                list(blocks)
    assert capfd.readouterr() == ("", "")


def test_an_interrupt_is_not_swallowed():
    with pytest.raises(KeyboardInterrupt):  # noqa: SIM117
        with open_blocks(Failing(encoded(), 30_000, KeyboardInterrupt()), "a") as blocks:
            list(blocks)


@pytest.mark.parametrize(
    "error", [TypeError("t"), ValueError("v"), MemoryError(), OverflowError("o"), RuntimeError("r"), AssertionError(),
              ZeroDivisionError(), UnicodeDecodeError("utf-8", b"x", 0, 1, "u"), sf.SoundFileRuntimeError("s")]
)  # fmt: skip
def test_whatever_a_decoder_raises_is_the_reason_of_its_file(error):
    with pytest.raises(UnusableAudioError) as raised, decoding(Source(io.BytesIO(), "a.wav")):
        raise error
    assert raised.value.where == "a.wav"
    assert raised.value.why


@pytest.mark.parametrize("name", ["take.raw", "take.RAW", "take.gsm", "take.vox", "take.mp3", "take", "take.wav.raw"])
def test_a_name_says_nothing_about_the_content(tmp_path, name):
    (tmp_path / name).write_bytes(encoded())
    assert probe(tmp_path / name).frames == 40_000
    assert decode(tmp_path / name).frames == 40_000
    (tmp_path / name).write_bytes(encoded()[44:])  # the samples without their header
    found = probe(tmp_path / name)
    assert (found.status, bool(found.message)) == (Status.UNREADABLE, True)
    with pytest.raises(UnusableAudioError):
        decode(tmp_path / name)


def test_a_header_that_asks_for_ever_is_broken_off():
    source = Source(io.BytesIO(bytes(8)), "a")
    for _ in range(HEADER_READS + 2):
        source.seek(0)
        source.readinto(memoryview(bytearray(1)))
    with pytest.raises(UnusableAudioError, match="does not end"):
        source.raise_fault()
    source.header_is_read()
    source.seek(0)
    assert source.readinto(memoryview(bytearray(4))) == 4


def test_a_source_reads_its_new_head_and_then_the_file():
    source = Source(io.BytesIO(b"0123456789"), "a", b"abc", 4)
    assert (source.seek(0, 2), source.seek(1 << 62), source.seek(-5), source.tell()) == (9, 9, 0, 0)
    read = bytearray()
    while count := source.readinto(part := memoryview(bytearray(2))):
        read += part[:count]
    assert bytes(read) == b"abc456789"


def broken_mp3() -> bytes:
    data = bytearray(encoded(kind="MP3"))
    data[len(data) // 2 : len(data) // 2 + 300] = bytes(300)
    return bytes(data[:-2000])


def test_warnings_of_decoders_do_not_reach_the_terminal(capfd):
    sf.read(io.BytesIO(broken_mp3()))
    assert capfd.readouterr().err  # else there is nothing to keep away
    decode(broken_mp3())
    with open_audio(io.BytesIO(broken_mp3()), "a") as opened:
        reaches_its_end(opened)
    assert capfd.readouterr() == ("", "")


def test_what_python_logs_meanwhile_is_not_lost(capfd):
    turn_stderr_away()
    turn_stderr_away()
    put_stderr_back()
    handler = logging.StreamHandler()
    logging.getLogger("beatsight.test").addHandler(handler)
    try:
        logging.getLogger("beatsight.test").warning("heard")
        os.write(2, b"and this\n")
        ctypes.CDLL(None).perror(b"but not this")
    finally:
        put_stderr_back()
        logging.getLogger("beatsight.test").removeHandler(handler)
    said = capfd.readouterr().err
    assert "heard" in said
    assert "and this" in said
    assert "but not this" not in said
    ctypes.CDLL(None).perror(b"heard again")
    assert "heard again" in capfd.readouterr().err


def test_many_threads_end_with_the_terminal_as_it_was(capfd):
    def work():
        for _ in range(5):
            decode(broken_mp3())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert capfd.readouterr().err == ""
    ctypes.CDLL(None).perror(b"heard")
    assert "heard" in capfd.readouterr().err


def test_a_probe_says_which_is_which(tmp_path, monkeypatch):
    path = tmp_path / "a.wav"
    path.write_bytes(encoded())
    failing = Failing(path.read_bytes(), 0, OSError(errno.EIO, "Input/output error"))
    monkeypatch.setattr(Path, "open", lambda *_: failing)
    found = probe(path)
    assert (found.status, found.message, found.lasting) == (Status.UNREADABLE, "Input/output error", False)
