"""Decoding: bytes of any audio that libsndfile reads -> mono at its own rate. Once per file, in blocks.

Mono is the mean of the channels. 8- and 16-bit audio in one or two channels stays in integers, which rounds exactly as
the way over float32 does. Decoding trusts no length in a header: it keeps what decodes and says how much was promised.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from beatsight_core.audio.header import Header, declared_frames, header_of, not_audio
from beatsight_core.audio.resample import resample, to_float32, to_pcm16
from beatsight_core.errors import AudioError

_BLOCK_FRAMES = 1 << 17
_FIRST_FRAMES = 1 << 26
_INTEGER_SUBTYPES = ("PCM_16", "PCM_S8", "PCM_U8")

Samples16 = NDArray[np.int16]
SamplesFloat = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded file in mono.

    Attributes:
        samples: (n,) int16, or float32 in -1..1, at the file's rate.
        rate_hz: The file's rate.
        declared_frames: Frames that its header promises; None if it does not say.
    """

    samples: Samples16 | SamplesFloat
    rate_hz: int
    declared_frames: int | None

    @property
    def frames(self) -> int:
        """Frames that decoded."""
        return len(self.samples)

    @property
    def is_truncated(self) -> bool:
        """Whether fewer frames decoded than the header promises: cut off, or broken in the middle."""
        return self.declared_frames is not None and self.frames < self.declared_frames

    def at_rate(self, rate_hz: int) -> Samples16:
        """The samples as 16 bit at another rate."""
        if self.rate_hz == rate_hz:
            return to_pcm16(self.samples)
        return to_pcm16(resample(to_float32(self.samples), self.rate_hz, rate_hz))


def decode(source: Path | bytes, where: str | None = None) -> Decoded:
    """Decode a whole file to mono at its own rate.

    Args:
        source: A path, or the file's bytes.
        where: Names the file in errors; the path by default.

    Returns:
        All frames up to the first block that does not decode.

    Raises:
        AudioError: The header is not readable, a file of unknown length does not decode, or samples are not finite.
        OSError: The drive failed.
    """
    data = source if isinstance(source, bytes) else source.read_bytes()
    where = where or (str(source) if isinstance(source, Path) else "audio")
    declared = declared_frames(io.BytesIO(data))
    try:
        with sf.SoundFile(io.BytesIO(data)) as file:
            header = header_of(file, declared, where)
            samples, failed = _mono_samples(file, header)
    except sf.LibsndfileError as error:
        raise not_audio(error, where) from error
    if failed and header.declared_frames is None:
        why = "its header does not say how long it is, and decoding it ends in an error"
        raise AudioError("An audio file cannot be decoded", where=where, why=why, do="encode it again")
    if samples.dtype == np.float32 and not np.isfinite(samples).all():
        raise AudioError("An audio file holds samples that are not numbers", where=where, do="replace it")
    return Decoded(samples, header.rate_hz, header.declared_frames)


def mono_frames(file: sf.SoundFile, count: int) -> Samples16 | SamplesFloat | None:
    """The next frames of an opened file as `decode` would give them; None if they are not all there, or no numbers.

    Raises:
        soundfile.LibsndfileError: They do not decode.
    """
    kind = _kind(file)
    samples: Any = np.empty(count, kind)
    frames = samples if file.channels == 1 else np.empty((count, file.channels), kind)
    if len(file.read(out=frames)) != count:
        return None
    if frames is not samples:
        _mean_into(samples, frames)
    return samples if kind is np.int16 or np.isfinite(samples).all() else None


def truncation(promised: int | None, frames: int) -> str:
    """The message for a file that holds fewer frames than its header promises."""
    return f"truncated: the header promises {promised} frames, reading ends after {frames}"


def _mono_samples(file: sf.SoundFile, header: Header) -> tuple[Samples16 | SamplesFloat, bool]:
    """Decode block by block until the end or the first block that fails; says whether one failed.

    The header's length is only where the buffer starts from: it grows with what decodes, never with what is promised.
    """
    kind = _kind(file)
    samples: Any = np.empty(min(header.frames or 0, _FIRST_FRAMES) + 1, kind)
    block = np.empty((_BLOCK_FRAMES, file.channels), kind) if file.channels > 1 else None
    count = 0
    while True:
        if count == len(samples):
            samples = np.concatenate((samples, np.empty_like(samples)))
        room = samples[count : count + _BLOCK_FRAMES]
        try:
            read = len(file.read(out=room if block is None else block[: len(room)]))
        except sf.LibsndfileError:
            return samples[:count], True
        if read == 0:
            return samples[:count], False
        if block is not None:
            _mean_into(room[:read], block[:read])
        count += read


def _kind(file: sf.SoundFile) -> type[np.int16] | type[np.float32]:
    """What the samples of a file are decoded to."""
    return np.int16 if file.subtype in _INTEGER_SUBTYPES and file.channels <= 2 else np.float32


def _mean_into(mean: Samples16 | SamplesFloat, frames: NDArray[np.int16] | NDArray[np.float32]) -> None:
    """Put the mean over the channels of (n, channels) into (n,)."""
    if frames.dtype == np.int16:
        total: NDArray[np.int32] = np.add(frames[:, 0], frames[:, 1], dtype=np.int32)
        mean[:] = (total + ((total >> 1) & 1)) >> 1  # half to even, as np.rint would
        return
    mean[:] = frames[:, 0]
    for channel in range(1, frames.shape[1]):  # many times faster than a sum along the short axis
        mean += frames[:, channel]
    mean *= np.float32(1.0 / frames.shape[1])
