"""Events and manifests to test with."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

_NUMBERS = itertools.count()


@pytest.fixture
def event():
    """Make a valid event; `None` as a value leaves a field out."""

    def make(**changes: Any) -> dict[str, Any]:
        number = next(_NUMBERS)
        known = {
            "event_id": f"e{number:06d}",
            "session_id": "s1",
            "source_set": "groove",
            "audio_path": "a/take.wav",
            "onset_time": number * 0.5 % 3600,
            "components": [{"label": "kick", "velocity": 0.5}],
        }
        return {key: value for key, value in {**known, **changes}.items() if value is not None}

    return make


@pytest.fixture
def manifest(tmp_path: Path):
    """Write a manifest of events, or of lines as they are."""

    def write(lines: list[Any], name: str = "m.jsonl", *, end: bytes = b"\n") -> Path:
        path = tmp_path / name
        raw = [line if isinstance(line, bytes) else json.dumps(line, ensure_ascii=False).encode() for line in lines]
        path.write_bytes(b"".join(line + end for line in raw))
        return path

    return write
