"""Naming the drums of a new recording: onsets, the same clips and features as in training, and what the net says."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beatsight_core.audio.decode import decode
from beatsight_core.audio.resample import FULL_SCALE, to_float32
from beatsight_core.audio.slicing import Window, clip_views, onset_samples, pad
from beatsight_core.errors import AudioError, InputError, UsageError
from beatsight_core.evaluation.lookup import find_model
from beatsight_core.evaluation.onsets import detect_onsets, read_onsets
from beatsight_core.files import json_bytes, write_bytes, write_text
from beatsight_core.metrics import said_components
from beatsight_core.settings import Settings
from beatsight_core.taxonomy import NOTE_OF_COMPONENT

CHUNK_CLIPS = 256
LEVEL_WINDOW_S = 0.050
FAINTEST_DBFS = -40.0
"""A stroke whose peak is this low or lower has velocity 1."""

MIDI_DRUM_CHANNEL = 9
MIDI_TICKS_PER_BEAT = 500
"""At MIDI's default of two beats a second a tick is a millisecond."""
MIDI_NOTE_TICKS = 40


@dataclass(frozen=True, slots=True)
class ClassifiedHit:
    """One hit of a recording.

    Attributes:
        onset_s: Seconds from the start of the file.
        components: Those said, in class order; may be empty.
        probabilities: Of every component.
        velocity: MIDI velocity 1..127 from the hit's level.
    """

    onset_s: float
    components: tuple[str, ...]
    probabilities: dict[str, float]
    velocity: int


@dataclass(frozen=True, slots=True)
class Classification:
    """What was heard in a recording.

    Attributes:
        audio: The file.
        model: What named the drums.
        onsets: "detected", or the file they were read from.
        thresholds: From which probability on each component is said.
        hits: In order of onset.
    """

    audio: Path
    model: str
    onsets: str
    thresholds: dict[str, float]
    hits: tuple[ClassifiedHit, ...]

    def to_json(self) -> dict[str, Any]:
        """All of it, JSON-safe; onsets in seconds."""
        return {
            "audio": str(self.audio),
            "model": self.model,
            "onsets": self.onsets,
            "thresholds": self.thresholds,
            "hits": [
                {
                    "onset": hit.onset_s,
                    "components": list(hit.components),
                    "probabilities": hit.probabilities,
                    "velocity": hit.velocity,
                }
                for hit in self.hits
            ],
        }

    def to_csv(self) -> str:
        """A table: onset_time (s), components joined by "+", velocity, then a probability per component."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["onset_time", "components", "velocity", *self.thresholds])
        for hit in self.hits:
            shares = [f"{hit.probabilities[label]:.6f}" for label in self.thresholds]
            writer.writerow([f"{hit.onset_s:.6f}", "+".join(hit.components), hit.velocity, *shares])
        return text.getvalue()

    def to_midi(self, path: Path) -> None:
        """Write General MIDI drum notes (`taxonomy.NOTE_OF_COMPONENT`), a millisecond a tick."""
        import mido

        strokes = [
            (round(hit.onset_s * 1000), NOTE_OF_COMPONENT[label], hit.velocity)
            for hit in self.hits
            for label in hit.components
        ]
        messages = [(tick, 1, note, velocity) for tick, note, velocity in strokes]
        messages += [(tick + MIDI_NOTE_TICKS, 0, note, 0) for tick, note, _ in strokes]
        track = mido.MidiTrack()
        now = 0
        for tick, is_on, note, velocity in sorted(messages):
            kind = "note_on" if is_on else "note_off"
            track.append(mido.Message(kind, channel=MIDI_DRUM_CHANNEL, note=note, velocity=velocity, time=tick - now))
            now = tick
        buffer = io.BytesIO()
        mido.MidiFile(type=0, ticks_per_beat=MIDI_TICKS_PER_BEAT, tracks=[track]).save(file=buffer)
        write_bytes(path, buffer.getvalue())

    def write(self, path: Path) -> None:
        """Write as what the name ends in: .json, .csv, .mid or .midi.

        Raises:
            UsageError: It ends in something else.
        """
        suffix = path.suffix.lower()
        if suffix == ".json":
            write_bytes(path, json_bytes(self.to_json()))
        elif suffix == ".csv":
            write_text(path, self.to_csv())
        elif suffix in (".mid", ".midi"):
            self.to_midi(path)
        else:
            raise UsageError(f"{path.name} is not a kind that can be written", do="name it .json, .csv or .mid")


def classify_audio(
    settings: Settings,
    audio: Path,
    *,
    onsets: Path | None = None,
    model: str | None = None,
    device: str = "auto",
) -> Classification:
    """Name the drums struck in a recording.

    Args:
        settings: Say where the models are.
        audio: Any file that the dataset could be made from.
        onsets: A CSV, text or JSON file of onsets in seconds; without it they are detected.
        model: A version, a run, or the champion by default.
        device: auto, cpu, cuda or cuda:<n>.

    Raises:
        AudioError: The recording is missing or cannot be decoded.
        InputError: The onsets are none, or lie beyond the recording's end.
        ModelError: There is no such model.
    """
    from beatsight_core.evaluation.predict import Predictor

    if not audio.is_file():
        raise AudioError("There is no such recording", where=audio, do="check the path")
    predictor = Predictor.load(find_model(settings, model), device)
    spec = predictor.spec
    samples = decode(audio).at_rate(spec.sample_rate_hz)
    times = detect_onsets(to_float32(samples), spec.sample_rate_hz) if onsets is None else read_onsets(onsets)
    places = onset_samples(times, spec.sample_rate_hz)
    _check_within(times, places, len(samples), spec.sample_rate_hz, onsets)
    probabilities = _probabilities(predictor, samples, places)
    said = said_components(probabilities, predictor.thresholds)
    velocities = _velocities(samples, places, spec.sample_rate_hz)
    return Classification(
        audio=audio,
        model=predictor.name,
        onsets="detected" if onsets is None else str(onsets),
        thresholds={label: float(value) for label, value in zip(predictor.classes, predictor.thresholds, strict=True)},
        hits=tuple(
            ClassifiedHit(
                onset_s=float(times[row]),
                components=tuple(label for label, is_said in zip(predictor.classes, said[row], strict=True) if is_said),
                probabilities={
                    label: float(share) for label, share in zip(predictor.classes, probabilities[row], strict=True)
                },
                velocity=int(velocities[row]),
            )
            for row in range(len(times))
        ),
    )


def _check_within(
    times: NDArray[np.float64], places: NDArray[np.int64], samples: int, rate_hz: int, source: Path | None
) -> None:
    beyond = times[places >= samples]
    if len(beyond):
        raise InputError(
            f"{len(beyond)} of {len(times)} onsets lie beyond the recording's end at {samples / rate_hz:.3f} s, "
            f"the first at {beyond[0]:.3f} s",
            where=source,
            do="check that the onsets belong to this recording and are in seconds",
        )


def _probabilities(predictor: Any, samples: NDArray[np.int16], places: NDArray[np.int64]) -> NDArray[np.float32]:
    """(n, C): clips as the dataset cuts them, features as the cache has them."""
    from beatsight_core.features.logmel import LogMel, features_of

    spec = predictor.spec
    window = Window.of(spec.sample_rate_hz, spec.pre_ms, spec.tail_ms)
    padded = pad(samples, window)
    logmel = LogMel(spec).to(predictor.device)
    parts = [np.zeros((0, len(predictor.classes)), dtype=np.float32)]
    for start in range(0, len(places), CHUNK_CLIPS):
        clips = np.stack(clip_views(padded, places[start : start + CHUNK_CLIPS], window))
        parts.append(predictor.predict(features_of(logmel, clips, predictor.device)))
    return np.concatenate(parts)


def _velocities(samples: NDArray[np.int16], places: NDArray[np.int64], rate_hz: int) -> NDArray[np.int64]:
    """MIDI velocities: the peak just after each onset, linear in decibels from `FAINTEST_DBFS` (1) to 0 dBFS (127)."""
    reach = round(LEVEL_WINDOW_S * rate_hz)
    peaks = np.array([np.abs(samples[place : place + reach].astype(np.int32)).max(initial=1) for place in places])
    level = 20 * np.log10(np.maximum(peaks, 1) / FULL_SCALE)
    velocities: NDArray[np.int64] = np.clip(np.rint(1 + 126 * (1 - level / FAINTEST_DBFS)), 1, 127).astype(np.int64)
    return velocities
