"""A block of clips: up to one row group of samples, from which levels and encoded audio are made.

Where all clips are equally long, the block's buffer holds whole WAV files, one per row: the header, which is the same
for all, then the samples. It is both where clips are measured and the value buffer of an Arrow column: nothing is
copied twice. Clips of different lengths are held as they come.
"""

import io
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import soundfile as sf
from numpy.typing import NDArray

from beatsight_core.audio.decoding.resample import FULL_SCALE
from beatsight_core.audio.slicing import Window
from beatsight_core.dataset.shards.shard_schema import ROW_GROUP, SILENCE_DBFS, WAV_HEADER_BYTES

_HEADER_SAMPLES = WAV_HEADER_BYTES // 2


class ClipBlock:
    """Samples of up to `ROW_GROUP` clips of one window, and what is made of them."""

    def __init__(self, window: Window, encoding: str):
        self._window = window
        self._encoding = encoding
        self._buffer = np.empty((ROW_GROUP, _HEADER_SAMPLES + window.frames), "<i2")
        self._buffer[:, :_HEADER_SAMPLES] = np.frombuffer(wav_header(window.rate_hz, window.frames), "<i2")
        self.rows = 0

    @property
    def room(self) -> int:
        """Clips that still fit."""
        return ROW_GROUP - self.rows

    @property
    def frames(self) -> NDArray[np.int32]:
        """(rows,): samples of each clip."""
        return np.full(self.rows, self._window.frames, np.int32)

    @property
    def samples(self) -> NDArray[np.int16]:
        """(rows, frames): the clips held."""
        return self._buffer[: self.rows, _HEADER_SAMPLES:]

    def add(self, clips: Iterable[NDArray[np.int16]]) -> None:
        """Copy clips in; there must be room."""
        for clip in clips:
            self._buffer[self.rows, _HEADER_SAMPLES:] = clip
            self.rows += 1

    def clear(self) -> None:
        """Drop the clips held."""
        self.rows = 0

    def levels(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return peak (rows,) and root mean square (rows,) of the clips, in dB below full scale."""
        return peak_dbfs(self.samples), rms_dbfs(self.samples)

    def encoded(self) -> pa.Array:
        """Return the clips as whole audio files, one per row. WAV is a view, so write it before the block changes."""
        if self._encoding == "flac":
            return pa.array([_flac(clip, self._window.rate_hz) for clip in self.samples], pa.binary())
        row_bytes = self._buffer.shape[1] * 2
        offsets = np.arange(self.rows + 1, dtype=np.int32) * np.int32(row_bytes)
        values = pa.py_buffer(self._buffer[: self.rows])
        return pa.Array.from_buffers(pa.binary(), self.rows, [None, pa.py_buffer(offsets), values])


class VariedBlock:
    """A block of up to `ROW_GROUP` clips of any lengths."""

    def __init__(self, rate_hz: int, encoding: str):
        self._rate_hz = rate_hz
        self._encoding = encoding
        self._clips: list[NDArray[np.int16]] = []

    @property
    def rows(self) -> int:
        """Clips held."""
        return len(self._clips)

    @property
    def room(self) -> int:
        """Clips that still fit."""
        return ROW_GROUP - self.rows

    @property
    def frames(self) -> NDArray[np.int32]:
        """(rows,): samples of each clip."""
        return np.array([len(clip) for clip in self._clips], np.int32)

    def add(self, clips: Iterable[NDArray[np.int16]]) -> None:
        """Copy clips in; there must be room."""
        self._clips += [clip.copy() for clip in clips]

    def clear(self) -> None:
        """Drop the clips held."""
        self._clips.clear()

    def levels(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return peak (rows,) and root mean square (rows,) of the clips, in dB below full scale."""
        rows = [clip[None] for clip in self._clips]
        return np.concatenate([peak_dbfs(row) for row in rows]), np.concatenate([rms_dbfs(row) for row in rows])

    def encoded(self) -> pa.Array:
        """Return the clips as whole audio files, one per row."""
        if self._encoding == "flac":
            files = [_flac(clip, self._rate_hz) for clip in self._clips]
        else:
            files = [wav_header(self._rate_hz, len(clip)) + clip.astype("<i2").tobytes() for clip in self._clips]
        return pa.array(files, pa.binary())


def wav_header(rate_hz: int, frames: int) -> bytes:
    """Return the 44 bytes before the samples of a mono PCM16 WAV file."""
    data_bytes = 2 * frames
    parts = (
        b"RIFF", (36 + data_bytes).to_bytes(4, "little"), b"WAVE",
        b"fmt ", (16).to_bytes(4, "little"), (1).to_bytes(2, "little"), (1).to_bytes(2, "little"),
        rate_hz.to_bytes(4, "little"), (2 * rate_hz).to_bytes(4, "little"),
        (2).to_bytes(2, "little"), (16).to_bytes(2, "little"),
        b"data", data_bytes.to_bytes(4, "little"),
    )  # fmt: skip
    return b"".join(parts)


def peak_dbfs(clips: NDArray[np.int16]) -> NDArray[np.float32]:
    """Return the largest magnitude of each clip in dB below full scale.

    Args:
        clips: Array (n, frames) of int16.

    Returns:
        (n,) float32 from -120 to 0.
    """
    largest = np.maximum(clips.max(axis=1).astype(np.int32), -clips.min(axis=1).astype(np.int32))
    return _decibels(largest / FULL_SCALE)


def rms_dbfs(clips: NDArray[np.int16]) -> NDArray[np.float32]:
    """Return the root mean square of each clip in dB below full scale; a full-scale square wave is 0.

    Args:
        clips: Array (n, frames) of int16.

    Returns:
        (n,) float32 from -120 to 0.
    """
    # Sums of 16-bit squares are exact in float64, so no machine's order of summation shows in the result.
    squares = np.einsum("ij,ij->i", clips, clips, dtype=np.float64, casting="safe")
    return _decibels(np.sqrt(squares / clips.shape[1]) / FULL_SCALE)


def _decibels(ratio: NDArray[np.float64]) -> NDArray[np.float32]:
    floor = 10.0 ** (SILENCE_DBFS / 20.0)
    levels: NDArray[np.float32] = np.round(20.0 * np.log10(np.maximum(ratio, floor)), 3).astype(np.float32)
    return levels


def _flac(clip: NDArray[np.int16], rate_hz: int) -> bytes:
    stream = io.BytesIO()
    sf.write(stream, clip, rate_hz, format="FLAC", subtype="PCM_16")
    return stream.getvalue()
