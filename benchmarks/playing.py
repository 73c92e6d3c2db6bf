"""What is struck in a session, drawn at random, and how a manifest says it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from benchmarks.recordings import CAMBRIDGE, SLAKH, Recording

SEED = 20_251
FIRST_VIRTUAL = 1_000_000
"""Sessions from this number on are virtual: they are in a manifest only, over another session's recording."""

COMPONENTS = {
    "kick": 235, "snare": 205, "hihat_closed": 270, "hihat_open": 50, "hihat_pedal": 30, "ride_bow": 80,
    "ride_bell": 12, "crash": 30, "crash2": 10, "tom_high": 20, "tom_mid": 6, "tom_low": 26, "cross_stick": 12,
    "rimshot": 4, "splash": 3, "china": 3, "hihat_foot_splash": 2, "aux_percussion": 2,
}  # fmt: skip
"""Component -> how often it leads an event, in thousandths."""

_BESIDE = ("hihat_closed", "kick", "ride_bow", "snare", "crash", "hihat_open", "hihat_pedal")
"""What is struck together with another, the commonest first."""

_TECHNIQUES: tuple[list[str], ...] = (
    [],
    ["hihat_bark"],
    ["metric_modulation", "variable_meter"],
    ["multi_cymbal_same_class"],
    ["hihat_bark", "metric_modulation", "multi_cymbal_same_class", "variable_meter"],
)
_METERS = ("4/4", "3/4", "6/8", "7/8")


@dataclass(frozen=True, slots=True)
class Performance:
    """What is struck in a session: columns of equal length, a row per event.

    Attributes:
        seconds: Length of the recording.
        onsets: (n,) seconds, ascending.
        labels: (n, 3) indices of components, -1 for none.
        velocities: (n, 3) 0..1.
        openness: (n,) of a hi-hat, 0..1.
        tempo_bpm: Of all of it.
        meter: Of all of it.
        techniques: Of all of it.
        ids: One per event.
    """

    seconds: float
    onsets: Any
    labels: Any
    velocities: Any
    openness: Any
    tempo_bpm: float
    meter: str
    techniques: list[str]
    ids: list[str]


def perform(number: int, events: int, seconds: float | None = None) -> Performance:
    """Draw what is struck in session `number`; `seconds` is drawn too unless the recording exists already."""
    rng = np.random.default_rng([SEED, number])
    drawn = round(60.0 + 120.0 * float(rng.beta(1.6, 2.6)), 3)
    seconds = drawn if seconds is None else seconds
    tempo = round(float(rng.uniform(70.0, 190.0)), 3)
    onsets = _onsets(rng, events, seconds, 15.0 / tempo)
    shares = np.fromiter(COMPONENTS.values(), dtype=np.float64)
    labels = np.full((events, 3), -1)
    labels[:, 0] = rng.choice(len(shares), events, p=shares / shares.sum())
    beside = np.array([list(COMPONENTS).index(label) for label in _BESIDE])
    weights = 0.6 ** np.arange(len(beside))
    together = rng.random(events)
    for slot, share in ((1, 0.35), (2, 0.05)):
        chosen = np.flatnonzero(together < share)
        labels[chosen, slot] = rng.choice(beside, len(chosen), p=weights / weights.sum())
    labels[labels[:, 1] == labels[:, 0], 1] = -1
    labels[(labels[:, 2] == labels[:, 0]) | (labels[:, 2] == labels[:, 1]), 2] = -1
    return Performance(
        seconds=seconds,
        onsets=onsets,
        labels=labels,
        velocities=np.round(np.clip(rng.normal(0.65, 0.2, (events, 3)), 0.06, 1.0), 4),
        openness=np.round(rng.random(events), 4),
        tempo_bpm=tempo,
        meter=str(rng.choice(_METERS)),
        techniques=_TECHNIQUES[int(rng.integers(len(_TECHNIQUES)))],
        ids=_ids(rng.bytes(16 * events).hex()),
    )


def _onsets(rng: Any, events: int, seconds: float, grid_s: float) -> Any:
    """Sixteenths played by a hand, and whatever does not fit on them in between."""
    slots = int((seconds - 0.75) / grid_s)
    on_grid = min(events, slots)
    onsets = 0.25 + np.sort(rng.choice(slots, on_grid, replace=False)) * grid_s + rng.normal(0.0, 0.004, on_grid)
    between = rng.uniform(0.25, seconds - 0.5, events - on_grid)
    onsets = np.sort(np.concatenate([onsets, between]))
    if rng.random() < 0.3:
        onsets[0] = rng.choice([0.0, 0.0125, 0.04])
    if rng.random() < 0.3:
        onsets[-1] = seconds - rng.uniform(0.03, 0.15)
    return np.round(np.maximum(onsets, 0.0), 6)


def event_lines(recording: Recording, number: int, events: int, seconds: float | None = None) -> Iterator[bytes]:
    """The lines of a session, in the order of its onsets."""
    played = perform(number, events, seconds)
    names = list(COMPONENTS)
    is_slakh = recording.source is SLAKH
    session_id = recording.session_id if seconds is None else f"{recording.session_id}_v{number - FIRST_VIRTUAL:05d}"
    extra = {"source_stem": Path(recording.audio_path).stem, "instrument_class": "Drums",
             "source_plugin": "a_kit_of_some_name_full.nkm", "integrated_loudness": -12.0 - number % 17}  # fmt: skip
    columns = zip(
        played.ids, played.onsets.tolist(), played.labels.tolist(), played.velocities.tolist(),
        played.openness.tolist(), strict=True,
    )  # fmt: skip
    for event_id, onset, labels, velocities, openness in columns:
        struck = [
            _component(names[label], velocity, openness, extra if is_slakh else {})
            for label, velocity in zip(labels, velocities, strict=True)
            if label >= 0
        ]
        yield orjson.dumps(
            {
                "event_id": event_id,
                "session_id": session_id,
                "source_set": recording.source.name,
                "is_synthetic": is_slakh,
                "audio_path": recording.audio_path,
                "midi_path": None if recording.source is CAMBRIDGE else recording.audio_path.rsplit(".", 1)[0] + ".mid",
                "onset_time": onset,
                "offset_time": None,
                "tempo_bpm": played.tempo_bpm,
                "meter": played.meter,
                "components": struck,
                "techniques": played.techniques,
                "context_ms": {"pre": 80, "post": 200},
                "metadata_ref": f"provenance:{session_id}",
                "negative_example": False,
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )


def _component(label: str, velocity: float, openness: float, extra: dict[str, Any]) -> dict[str, Any]:
    bucket = next(name for name, top in _BUCKETS.items() if velocity <= top)
    part = {"label": label, "velocity": velocity, "dynamic_bucket": bucket, **extra}
    return {**part, "openness": openness} if label.startswith("hihat") else part


_BUCKETS = {"ghost": 0.25, "light": 0.5, "medium": 0.8, "accent": 1.0}


def _ids(digits: str) -> list[str]:
    parts = (digits[start : start + 32] for start in range(0, len(digits), 32))
    return [f"{p[:8]}-{p[8:12]}-{p[12:16]}-{p[16:20]}-{p[20:]}" for p in parts]
