"""Decoding: any audio that libsndfile reads -> mono at its own rate, block by block, and where it ends.

Mono is the mean of the channels, or one of them. 8- and 16-bit audio in one or two channels stays in integers, which
rounds exactly as the way over float32 does. Decoding trusts no length in a header: it keeps what decodes and says how
much was promised. However long a file is, only a block of it is held.
"""

import contextlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from beatsight_core.audio.decoding.ending import Ending, ending_of
from beatsight_core.audio.decoding.frames import (
    FailedError,
    Frames,
    are_samples,
    block_frames,
    picked_channel,
    read_frames,
    read_on,
    to_mono,
)
from beatsight_core.audio.decoding.opened_file import UnusableAudioError
from beatsight_core.audio.decoding.resample import Resampler, Samples16, SamplesFloat
from beatsight_core.audio.headers.header import Header, Opened, open_audio

Heard = Callable[[Frames, Samples16 | SamplesFloat], None]
"""Takes a block of frames, (n,) or (n, channels), and mono of it."""

_FINE_FRAMES = 256
"""Frames read at once in the block that fails, to find what is still good of it."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded file in mono.

    Attributes:
        samples: Array (n,) of int16, or of float32 in -1..1, at the file's rate.
        rate_hz: Rate of the file.
        declared_frames: Frames that its header promises; None if it does not say.
        ending: End of the file: the number of good frames, and what is missing.
    """

    samples: Samples16 | SamplesFloat
    rate_hz: int
    declared_frames: int | None
    ending: Ending

    @property
    def frames(self) -> int:
        """Frames that decoded."""
        return len(self.samples)

    @property
    def is_truncated(self) -> bool:
        """Whether something is missing: cut off at the end, or broken in the middle."""
        return self.ending.is_missing

    def at_rate(self, rate_hz: int) -> Samples16:
        """Return the samples as 16 bit at another rate."""
        resampler = Resampler(self.rate_hz, rate_hz)
        parts = resampler.push(self.samples), resampler.finish()
        return np.concatenate(parts) if len(parts[1]) else parts[0]


class MonoBlocks:
    """An opened file in mono, block by block: iterate once, then ask for its ending. `open_blocks` makes one."""

    def __init__(self, stream: BinaryIO, opened: Opened, channel: str, heard: Heard | None):
        self.header: Header = opened.header
        self.frames = 0
        self._stream, self._opened = stream, opened
        self._pick = picked_channel(stream, opened, channel)
        self._heard = heard
        self._failed: str | None = None

    def __iter__(self) -> Iterator[Samples16 | SamplesFloat]:
        failure: FailedError | None = None
        try:
            for frames in read_on(self._opened, self._pick):
                yield self._taken(frames)
        except FailedError as error:
            failure = error
        if failure is not None:
            self._failed = None if self._opened.source.ran_out else failure.why
            for frames in _before_failure(self._stream, self._opened, self._pick, self.frames):
                yield self._taken(frames)

    def ending(self) -> Ending:
        """Return where the file ends, once all blocks were taken.

        Raises:
            UnusableAudioError: Nothing of it decodes.
            OSError: The drive failed.
        """
        if self.frames:
            return ending_of(self._stream, self.header, self.frames, self._failed)
        why = f"nothing of it decodes: {self._failed}" if self._failed else "nothing of it decodes"
        raise UnusableAudioError.of("An audio file cannot be decoded", self._opened.source.where, why)

    def _taken(self, frames: Frames) -> Samples16 | SamplesFloat:
        """A block in mono."""
        mono = to_mono(frames, self._pick)
        if not are_samples(mono):
            peak = np.abs(mono).max()
            kind = f"beyond all sound ({peak:,.0f} times full scale)" if np.isfinite(peak) else "not numbers"
            why = f"it holds samples that are {kind}"
            raise UnusableAudioError.of("An audio file cannot be used", self._opened.source.where, why)
        self.frames += len(mono)
        if self._heard is not None:
            self._heard(frames, mono)
        return mono


@contextlib.contextmanager
def open_blocks(stream: BinaryIO, where: str, channel: str = "mix", heard: Heard | None = None) -> Iterator[MonoBlocks]:
    """Open a file to decode it block by block.

    Args:
        stream: The opened file, or its bytes.
        where: Name of the file in errors.
        channel: Source of the mono signal: "mix", "left", "right" or "loudest".
        heard: Receiver of every block, and of the same block in mono.

    Raises:
        UnusableAudioError: The header is no audio header, or not readable; samples are not finite.
        OSError: The drive failed.
    """
    with open_audio(stream, where) as opened:
        yield MonoBlocks(stream, opened, channel, heard)


def decode(source: Path | bytes, where: str | None = None, channel: str = "mix") -> Decoded:
    """Decode a whole file to mono at its own rate.

    Args:
        source: Path, or the file's bytes.
        where: Name of the file in errors; the path by default.
        channel: Source of the mono signal: "mix", "left", "right" or "loudest".

    Returns:
        All frames up to the first that does not decode.

    Raises:
        UnusableAudioError: The header is not readable or none of audio, nothing decodes, or samples are not finite.
        OSError: The drive failed.
    """
    where = where or (str(source) if isinstance(source, Path) else "audio")
    with contextlib.ExitStack() as stack:
        stream: BinaryIO = stack.enter_context(source.open("rb")) if isinstance(source, Path) else io.BytesIO(source)
        blocks = stack.enter_context(open_blocks(stream, where, channel))
        parts = list(blocks)
        ending = blocks.ending()
    samples: Any = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return Decoded(samples, blocks.header.rate_hz, blocks.header.declared_frames, ending)


def decode_at_rate(path: Path, rate_hz: int, channel: str = "mix") -> tuple[Samples16, Header, Ending]:
    """Decode a whole file to mono in 16 bit at some rate; of its own samples only a block is held at a time.

    Raises:
        UnusableAudioError: The file cannot be decoded; `decode` lists the reasons.
        OSError: The drive failed.
    """
    with path.open("rb") as stream, open_blocks(stream, str(path), channel) as blocks:
        resampler = Resampler(blocks.header.rate_hz, rate_hz)
        parts = [resampler.push(block) for block in blocks]
        parts.append(resampler.finish())
        return np.concatenate(parts), blocks.header, blocks.ending()


def _before_failure(stream: BinaryIO, opened: Opened, pick: int | None, done: int) -> Iterator[Frames]:
    """What is good of a block that failed: the file is read once more up to there, and on in small steps."""
    with open_audio(stream, opened.source.where) as again, contextlib.suppress(FailedError):
        while done > 0:
            done -= max(len(read_frames(again, min(done, block_frames(again)), pick)), 1)
        while len(frames := read_frames(again, _FINE_FRAMES, pick)):
            yield frames
