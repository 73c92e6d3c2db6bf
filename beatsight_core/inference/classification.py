"""The drums named in a recording, as objects, as arrays, and as JSON, CSV or MIDI."""

import csv
import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beatsight_core.errors import UsageError
from beatsight_core.files import json_bytes, write_bytes, write_text
from beatsight_core.inference.answers import Answers
from beatsight_core.safe_text import csv_row
from beatsight_core.taxonomy import NOTE_OF_COMPONENT
from beatsight_core.typed_json import JsonObject

WRITTEN = (".json", ".csv", ".mid", ".midi")
"""What names of files that can be written end in."""

MIDI_DRUM_CHANNEL = 9
MIDI_TICKS_PER_BEAT = 500
"""At MIDI's default of two beats a second a tick is a millisecond."""
MIDI_NOTE_TICKS = 40


@dataclass(frozen=True, slots=True)
class ClassifiedHit:
    """One hit of a recording.

    Attributes:
        onset_s: Seconds from the start of the recording.
        components: Components predicted, in class order; may be empty.
        probabilities: Component -> its probability, for every component.
        velocity: MIDI velocity 1..127 from the hit's level.
    """

    onset_s: float
    components: tuple[str, ...]
    probabilities: dict[str, float]
    velocity: int


@dataclass(frozen=True, eq=False)
class Classification:
    """The drums named in a recording: n hits, as arrays and, in `hits`, one by one.

    Attributes:
        audio: Path of the file, or "samples".
        model: Name of the model that named the drums.
        onsets: Origin of the onsets: "detected", "given", or the file they were read from.
        onsets_s: Array (n,) of seconds from the start of the recording; in order, unless given in another.
        answers: Probabilities (n, C), and what they mean.
        velocities: Array (n,) of MIDI velocities 1..127 from the hits' levels.
    """

    audio: str
    model: str
    onsets: str
    onsets_s: NDArray[np.float64]
    answers: Answers
    velocities: NDArray[np.int64]

    @property
    def thresholds(self) -> dict[str, float]:
        """The probability from which on each component is predicted."""
        return dict(zip(self.answers.classes, self.answers.thresholds.tolist(), strict=True))

    @cached_property
    def hits(self) -> tuple[ClassifiedHit, ...]:
        """The hits, one by one."""
        rows = zip(
            self.onsets_s.tolist(),
            self.answers.components,
            self.answers.probabilities.tolist(),
            self.velocities.tolist(),
            strict=True,
        )
        classes = self.answers.classes
        return tuple(
            ClassifiedHit(onset, components, dict(zip(classes, shares, strict=True)), velocity)
            for onset, components, shares, velocity in rows
        )

    def to_json(self) -> JsonObject:
        """Return all of it, JSON-safe; onsets in seconds."""
        return {
            "audio": self.audio,
            "model": self.model,
            "onsets": self.onsets,
            "thresholds": {**self.thresholds},
            "hits": [
                {
                    "onset": hit.onset_s,
                    "components": [*hit.components],
                    "probabilities": {**hit.probabilities},
                    "velocity": hit.velocity,
                }
                for hit in self.hits
            ],
        }

    def to_csv(self) -> str:
        """Return a table: onset_time (s), components joined by "+", velocity, then a probability per component."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(csv_row(["onset_time", "components", "velocity", *self.answers.classes]))
        for hit in self.hits:
            shares = [f"{share:.6f}" for share in hit.probabilities.values()]
            writer.writerow(csv_row([f"{hit.onset_s:.6f}", "+".join(hit.components), hit.velocity, *shares]))
        return text.getvalue()

    def to_midi(self, path: str | Path) -> None:
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
        write_bytes(Path(path), buffer.getvalue())

    def write(self, path: str | Path) -> None:
        """Write a file of the kind that its name ends in: .json, .csv, .mid or .midi.

        Raises:
            UsageError: The path ends in another suffix.
        """
        path = Path(path)
        suffix = checked_suffix(path)
        if suffix == ".json":
            write_bytes(path, json_bytes(self.to_json()))
        elif suffix == ".csv":
            write_text(path, self.to_csv())
        else:
            self.to_midi(path)


def checked_suffix(path: Path) -> str:
    """Return the ending of a file's name, in lower case.

    Raises:
        UsageError: The suffix is not one of `WRITTEN`.
    """
    suffix = path.suffix.lower()
    if suffix not in WRITTEN:
        raise UsageError(f"{path.name} is not a kind that can be written", do="name it .json, .csv or .mid")
    return suffix
