"""Events of the demo's manifest: one line per stroke, with everything that is known about it."""

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson

from beatsight_core.demo.mixing import place
from beatsight_core.demo.performance import Stroke
from beatsight_core.demo.recording import Recording
from beatsight_core.synthesis.kit import spelling
from beatsight_core.taxonomy import velocity_bucket

LICENCE = "CC0-1.0"


def session_events(recording: Recording) -> list[dict[str, Any]]:
    """The events of a session in order of time, as they stand in the manifest."""
    return [_event(recording, stroke, number) for number, stroke in enumerate(recording.strokes)]


def event_id(session_id: str, number: int | str) -> str:
    """An id that depends on the session and the stroke's place in it."""
    return hashlib.sha256(f"{session_id}:{number}".encode()).hexdigest()[:24]


def line(event: dict[str, Any]) -> bytes:
    """An event as a line of JSON."""
    return orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)


def onset_s(recording: Recording, stroke: Stroke) -> float:
    """The time of a stroke's first sample, to the microsecond: it rounds back to that very sample."""
    rate_hz = recording.plan.source.rate_hz
    return round(place(stroke, rate_hz) / rate_hz, 6)


def _event(recording: Recording, stroke: Stroke, number: int) -> dict[str, Any]:
    plan = recording.plan
    event: dict[str, Any] = {
        "event_id": event_id(plan.session_id, number),
        "session_id": plan.session_id,
        "source_set": plan.source.name,
        "audio_path": plan.audio_path,
        "onset_time": onset_s(recording, stroke),
        "components": [_component(stroke)],
        "techniques": list(stroke.techniques),
        "is_synthetic": True,
        "tempo_bpm": stroke.tempo_bpm,
        "meter": stroke.meter,
        "bar_index": stroke.bar,
        "beat_index": stroke.beat,
        "drummer_id": plan.drummer.drummer_id,
        "kit_id": plan.kit.kit_id,
        "room_id": plan.room.room_id,
        "context_ms": {"pre": 80, "post": 200},
        "bleed_level": "none" if plan.band_db is None else "low",
        "mix_context": "drums_only" if plan.band_db is None else "light_accompaniment",
        "licence": LICENCE,
        "groove": stroke.groove,
    }
    if recording.lufs is not None and recording.peak_dbfs is not None:
        event["loudness"] = {"LUFS_i": round(recording.lufs, 1), "peak_dbfs": round(recording.peak_dbfs, 1)}
    return event


def _component(stroke: Stroke) -> dict[str, Any]:
    component: dict[str, Any] = {
        "label": spelling(stroke.component, stroke.variant),
        "velocity": stroke.velocity,
        "dynamic_bucket": velocity_bucket(stroke.velocity),
    }
    if stroke.openness is not None:
        component["openness"] = stroke.openness
        component["openness_raw"] = round(127 * stroke.openness)
    if stroke.by_hand:
        component["choke"] = True
    return component


def strewn(lines: Sequence[bytes], strays: Sequence[bytes]) -> list[bytes]:
    """`lines` with `strays` spread evenly among them, each after at least one line."""
    out: list[bytes] = []
    step = len(lines) / (len(strays) + 1)
    marks = [int(step * (position + 1)) for position in range(len(strays))]
    for start, end, stray in zip([0, *marks], marks, strays, strict=False):
        out += [*lines[start:end], stray]
    return out + list(lines[marks[-1] if marks else 0 :])
