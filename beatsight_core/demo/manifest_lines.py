"""Events of the demo's manifest: one line per stroke, with everything that is known about it."""

import hashlib
from collections.abc import Sequence

import orjson

from beatsight_core.demo.mixing import place
from beatsight_core.demo.performance import Stroke
from beatsight_core.demo.recording import PlayedSession
from beatsight_core.synthesis.kit import spelling
from beatsight_core.taxonomy import velocity_bucket
from beatsight_core.typed_json import JsonObject

LICENCE = "CC0-1.0"


def session_events(recording: PlayedSession) -> list[JsonObject]:
    """Return the events of a session in order of time, as they stand in the manifest."""
    return [_event(recording, stroke, number) for number, stroke in enumerate(recording.strokes)]


def event_id(session_id: str, number: int | str) -> str:
    """Return an id that depends on the session and the stroke's number in it."""
    return hashlib.sha256(f"{session_id}:{number}".encode()).hexdigest()[:24]


def line(event: JsonObject) -> bytes:
    """Return an event as a line of JSON."""
    return orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)


def labels_of(event: JsonObject) -> list[str]:
    """Return the labels of an event's components, as they are spelt."""
    components = event["components"]
    parts = components if isinstance(components, list) else []
    return [str(part["label"]) for part in parts if isinstance(part, dict)]


def techniques_of(event: JsonObject) -> list[str]:
    """Return the techniques of an event."""
    techniques = event["techniques"]
    return [str(technique) for technique in techniques] if isinstance(techniques, list) else []


def onset_s(recording: PlayedSession, stroke: Stroke) -> float:
    """Return the time of a stroke's first sample, to the microsecond: it rounds back to that very sample."""
    rate_hz = recording.plan.source.rate_hz
    return round(place(stroke, rate_hz) / rate_hz, 6)


def _event(recording: PlayedSession, stroke: Stroke, number: int) -> JsonObject:
    plan = recording.plan
    event: JsonObject = {
        "event_id": event_id(plan.session_id, number),
        "session_id": plan.session_id,
        "source_set": plan.source.name,
        "audio_path": plan.audio_path,
        "onset_time": onset_s(recording, stroke),
        "components": [_component(stroke)],
        "techniques": [*stroke.techniques],
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


def _component(stroke: Stroke) -> JsonObject:
    component: JsonObject = {
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
    """Return `lines` with `strays` spread evenly among them, each after at least one line."""
    out: list[bytes] = []
    step = len(lines) / (len(strays) + 1)
    marks = [int(step * (position + 1)) for position in range(len(strays))]
    for start, end, stray in zip([0, *marks], marks, strays, strict=False):
        out += [*lines[start:end], stray]
    return out + list(lines[marks[-1] if marks else 0 :])
