"""Faults put into the demo on purpose, so that it shows what the platform does about them."""

import json
from collections.abc import Callable
from pathlib import Path

import soundfile

from beatsight_core.demo.manifest_lines import event_id
from beatsight_core.files import write_bytes
from beatsight_core.typed_json import JsonObject, JsonValue

UNKNOWN_LABEL = "gong"
_KEPT_SHARE = 0.5
_FLAC_BLOCK = 4096


def bad_lines(event: JsonObject) -> list[tuple[str, bytes]]:
    """Return lines that are no valid events, each made from a valid one, with the reason to refuse them for."""
    return [(reason, _spoilt(event, number, spoil)) for number, (reason, spoil) in enumerate(_SPOILERS)]


def past_end(event: JsonObject, seconds: float) -> JsonObject:
    """Return a valid event half a second after the end of its file."""
    return {**event, "event_id": event_id(str(event["session_id"]), "past_end"), "onset_time": round(seconds + 0.5, 6)}


def duplicate(event: JsonObject) -> JsonObject:
    """Return the same stroke noted down once more under another id."""
    return {**event, "event_id": event_id(str(event["session_id"]), "duplicate")}


def truncate(path: Path) -> int:
    """Cut a FLAC file in the middle: its header goes on promising all of it.

    Returns:
        Frames that can still be decoded.
    """
    whole = path.read_bytes()
    write_bytes(path, whole[: int(_KEPT_SHARE * len(whole))])
    readable = 0
    with soundfile.SoundFile(path) as handle:
        try:
            while block := len(handle.read(_FLAC_BLOCK, dtype="int16")):
                readable += block
        except soundfile.LibsndfileError:
            pass
    return readable


def _spoilt(event: JsonObject, number: int, spoil: Callable[[JsonObject], bytes]) -> bytes:
    own_id = event_id(str(event["session_id"]), f"bad_line_{number}")
    return spoil({**event, "event_id": own_id, "repeated_event_id": event["event_id"]}) + b"\n"


def _with(**changes: JsonValue) -> Callable[[JsonObject], bytes]:
    return lambda event: _dump({**event, **changes})


def _without(field: str) -> Callable[[JsonObject], bytes]:
    return lambda event: _dump({name: value for name, value in event.items() if name != field})


def _dump(event: JsonObject) -> bytes:
    # json, unlike stricter writers, lets NaN through: this is how such lines come about.
    return json.dumps({name: value for name, value in event.items() if name != "repeated_event_id"}).encode()


_SPOILERS: tuple[tuple[str, Callable[[JsonObject], bytes]], ...] = (
    ("bad_json", lambda event: _dump(event)[:90]),
    ("not_an_object", lambda event: json.dumps([event["event_id"], event["onset_time"]]).encode()),
    ("missing_field", _without("onset_time")),
    ("missing_field", _with(components=[{"velocity": 0.5}])),
    ("wrong_type", _with(onset_time="12.5 s")),
    ("bad_onset", _with(onset_time=float("nan"))),
    ("bad_onset", _with(onset_time=-0.25)),
    ("bad_onset", _with(onset_time=91_500_000.0)),
    ("no_components", _with(components=[])),
    ("unknown_component", _with(components=[{"label": UNKNOWN_LABEL, "velocity": 0.7}])),
    ("bad_path", _with(audio_path="../../elsewhere/take.wav")),
    ("bad_path", _with(audio_path="/recordings/take.wav")),
    ("duplicate_event_id", lambda event: _dump({**event, "event_id": event["repeated_event_id"]})),
    ("bad_encoding", lambda event: _dump({**event, "drummer_id": "Zo?"}).replace(b"Zo?", b"Zo\xeb")),
)
