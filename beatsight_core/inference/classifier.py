"""A loaded model that names drums in files, recordings and clips: finds onsets, cuts clips as in training, predicts."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from beatsight_core.audio.decoding.decode import decode_at_rate
from beatsight_core.audio.decoding.ending import Ending
from beatsight_core.audio.decoding.resample import FULL_SCALE
from beatsight_core.audio.headers.header import Header
from beatsight_core.audio.slicing import Window, clip_matrix, onset_samples
from beatsight_core.errors import AudioError, InputError, UsageError
from beatsight_core.features.spec import FeatureSpec
from beatsight_core.inference.answers import Answers
from beatsight_core.inference.backend import Adaptation, Backend, Clips
from beatsight_core.inference.classification import Classification
from beatsight_core.inference.onset_files import read_onsets
from beatsight_core.inference.onsets import detect_onsets
from beatsight_core.inference.sound import OnsetClips, as_clips, as_recording
from beatsight_core.settings import CHANNELS

LEVEL_WINDOW_S = 0.050
FAINTEST_DBFS = -40.0
"""A stroke whose peak is this low or lower has velocity 1."""

DETECTED, GIVEN = "detected", "given"

logger = logging.getLogger("beatsight")


@dataclass(frozen=True, eq=False)
class Classifier:
    """A model that names drums; `inference.load` makes one.

    Attributes:
        backend: Backend that runs the model.
        adapt: Function that changes the probabilities of a whole recording, if there is one (see `Adaptation`).
    """

    backend: Backend
    adapt: Adaptation | None = None

    @property
    def name(self) -> str:
        """The run or version that the model came from."""
        return self.backend.info.name

    @property
    def classes(self) -> tuple[str, ...]:
        """Components in class order."""
        return self.backend.info.classes

    @property
    def thresholds(self) -> NDArray[np.float32]:
        """The probabilities (C,) from which on a component is predicted."""
        return self.backend.info.thresholds

    @property
    def spec(self) -> FeatureSpec:
        """The spec of its features: sample rate, audio before and after the onset, mel bands."""
        return self.backend.info.spec

    def classify_file(
        self, audio: str | Path, onsets: str | Path | ArrayLike | None = None, channel: str = "mix"
    ) -> Classification:
        """Name the drums in a recording.

        Args:
            audio: Path of any file that libsndfile reads (WAV, FLAC, OGG, MP3, AIFF, …), of any rate and channels.
            onsets: Seconds from its start, or a file of them (see `read_onsets`); without any they are detected.
            channel: Source of the mono signal: "mix" (the mean of all channels), "left", "right", or "loudest".

        Raises:
            AudioError: The recording is missing or cannot be decoded.
            InputError: The onsets cannot be read, or do not lie within the recording.
        """
        path = Path(audio)
        if not path.is_file():
            why = "that is a folder" if path.is_dir() else None
            raise AudioError("There is no such recording", where=path, why=why, do="check the path")
        samples, header, ending = decode_at_rate(path, self.spec.sample_rate_hz, _known(channel))
        _tell_flaws(path, header, ending, self.spec)
        return self._classified(str(path), samples, onsets)

    def classify_recording(
        self,
        samples: ArrayLike,
        rate_hz: int,
        onsets: str | Path | ArrayLike | None = None,
        channel: str = "mix",
    ) -> Classification:
        """Name the drums in a recording that lies in memory.

        Args:
            samples: Array (n,), or (n, channels) as soundfile gives them: floats, int16 or int32.
            rate_hz: Samples per second.
            onsets: Seconds from its start, or a file of them; without any they are detected.
            channel: Source of the mono signal: "mix" (the mean of all channels), "left", "right", or "loudest".

        Raises:
            AudioError: Samples are not finite, or of another shape or kind.
            InputError: The onsets cannot be read, or do not lie within the recording.
        """
        mono = as_recording(samples, rate_hz, self.spec.sample_rate_hz, _known(channel))
        return self._classified("samples", mono, onsets)

    def classify_clips(
        self, clips: Sequence[ArrayLike] | NDArray[Any], rate_hz: int, onset_s: float | None = None
    ) -> Answers:
        """Name the drums in clips that were cut elsewhere.

        Args:
            clips: List of arrays (n,) or (n, channels), or one array (clips, n) or (clips, n, channels): floats, int16
                or int32. What the model does not listen to is cut off, what is missing is silence.
            rate_hz: Samples per second.
            onset_s: Position of the onset in each clip, in seconds from its start; by default that of the model's own
                clips, `spec.pre_ms`.

        Raises:
            AudioError: Samples are not finite, or of another shape or kind.
            UsageError: The onset does not lie within a clip.
        """
        onset = self.spec.pre_ms / 1000.0 if onset_s is None else onset_s
        return self._answers(as_clips(clips, rate_hz, self._window, onset))

    @property
    def _window(self) -> Window:
        return Window.of(self.spec.sample_rate_hz, self.spec.pre_ms, self.spec.tail_ms)

    def _classified(
        self, audio: str, samples: NDArray[np.int16], onsets: str | Path | ArrayLike | None
    ) -> Classification:
        rate_hz = self.spec.sample_rate_hz
        times, source = _onsets(onsets, samples, rate_hz)
        _check_within(times, len(samples), rate_hz, source)
        places = onset_samples(times, rate_hz)
        answers = self._answers(OnsetClips.of(samples, places, self._window))
        return Classification(audio, self.name, source, times, answers, _velocities(samples, places, rate_hz))

    def _answers(self, clips: Clips) -> Answers:
        """Of clips that belong together: the one place where a recording meets the model."""
        probabilities = self.backend.probabilities(clips)
        if self.adapt is not None:
            probabilities = self.adapt(probabilities)
        return Answers(self.classes, self.thresholds, probabilities)


def _onsets(
    onsets: str | Path | ArrayLike | None, samples: NDArray[np.int16], rate_hz: int
) -> tuple[NDArray[np.float64], str]:
    """(n,) seconds, and where they are from."""
    if onsets is None:
        return detect_onsets(samples, rate_hz), DETECTED
    if isinstance(onsets, str | Path):
        return read_onsets(Path(onsets)), str(onsets)
    times = np.asarray(onsets, dtype=np.float64)
    if times.ndim != 1 or not np.isfinite(times).all() or (times < 0).any():
        raise InputError(
            f"The onsets given are not times: shape {times.shape}, of which {int((~(times >= 0)).sum())} are negative "
            "or no numbers",
            do="give seconds from the start of the recording, as in [0.5, 1.25]",
        )
    return times, GIVEN


def _check_within(times: NDArray[np.float64], samples: int, rate_hz: int, source: str) -> None:
    beyond = times[times * rate_hz + 0.5 >= samples]  # before they become whole numbers, which have an end
    if len(beyond):
        raise InputError(
            f"{len(beyond)} of {len(times)} onsets lie beyond the recording's end at {samples / rate_hz:.3f} s, "
            f"the first at {beyond[0]:.3f} s",
            where=None if source == GIVEN else source,
            do="check that the onsets belong to this recording and are in seconds",
        )


def _known(channel: str) -> str:
    if channel not in CHANNELS:
        raise UsageError(f"There is no channel {channel!r}", do=f"choose from {', '.join(CHANNELS)}")
    return channel


def _tell_flaws(path: Path, header: Header, ending: Ending, spec: FeatureSpec) -> None:
    """Log what makes answers poorer than they could be."""
    if ending.why:
        logger.warning("%s: %s", path, ending.why)
    if header.rate_hz < min(spec.sample_rate_hz, 2 * spec.f_max_hz):
        logger.warning(
            "%s: at %d Hz nothing above %d Hz is heard, and the model listens up to %d Hz: cymbals suffer most",
            path, header.rate_hz, header.rate_hz // 2, min(spec.f_max_hz, spec.sample_rate_hz / 2),
        )  # fmt: skip


def _velocities(samples: NDArray[np.int16], places: NDArray[np.int64], rate_hz: int) -> NDArray[np.int64]:
    """MIDI velocities: the peak just after each onset, linear in decibels from `FAINTEST_DBFS` (1) to 0 dBFS (127)."""
    window = Window(rate_hz, 0, round(LEVEL_WINDOW_S * rate_hz))
    after = clip_matrix(np.append(samples, np.zeros(window.tail, np.int16)), places, window)
    peaks = np.maximum(after.max(axis=1, initial=1).astype(np.int32), -after.min(axis=1, initial=0).astype(np.int32))
    level = 20 * np.log10(peaks / FULL_SCALE)
    velocities: NDArray[np.int64] = np.clip(np.rint(1 + 126 * (1 - level / FAINTEST_DBFS)), 1, 127).astype(np.int64)
    return velocities
