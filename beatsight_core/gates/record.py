"""The gate record: what was judged, by digest, with which figures against which limits. It is what `promote` trusts.

`runs/<run id>/gates/promotion.json`. Its `digest` covers all else in it. A record counts only as long as everything it
names is still what it was: any byte of the record, the checkpoint, the dataset, the spec, the evaluation, the export,
the limits, the health report, or the champion that was compared with. And its rows are measured again before it is
used: its digest says that nobody edited it in passing, not that what it says is true.
"""

import platform
import re
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from beatsight_core.errors import DatasetError
from beatsight_core.files import read_json, write_json
from beatsight_core.gates.seal import is_sealed, sealed
from beatsight_core.runs.records import Run

FORMAT = 3
"""2: with the 0.3 slice, the health report, the environment, what each row was made of; 3: sealed as reports are."""

DIGEST = "digest"
"""Key of a record's seal."""

RECORD = Path("gates") / "promotion.json"

PACKAGES = ("beatsight", "torch", "numpy", "onnx", "onnxruntime", "safetensors", "dagster")
"""What a judgement depends on; their versions are named in the record."""

_NEEDED = {
    "run_id", "key", "preset", "profile", "criteria", "passed", "evaluation_id", "slice_id", "export", "digests",
    "limits", "compared_with", "notice", "health", "environment", "made",
}  # fmt: skip

_TOLERANCES = {"no_class_worse": 0.01, "exported_model": 1e-3}
"""Criteria whose figures another device, or another moment, gives with other last digits; all others are exact."""
_EXACT = 1e-9


def seal(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content as plain JSON values, with its digest: the same seal that health reports have."""
    return sealed(content, DIGEST)


def write_record(trained: Run, record: Mapping[str, Any]) -> Path:
    """Replace a run's record, atomically."""
    path = trained.folder / RECORD
    write_json(path, record)
    return path


def read_record(trained: Run) -> tuple[dict[str, Any] | None, str | None]:
    """A run's record, or None and why there is none that counts: it is missing, or was altered."""
    path = trained.folder / RECORD
    if not path.is_file():
        return None, None
    try:
        record = read_json(path)
    except DatasetError as error:
        return None, f"the record on disk cannot be read ({error.what})"
    if not isinstance(record, dict) or record.get("format") != FORMAT or not set(record) >= _NEEDED:
        return None, "the record on disk has another format"
    if not is_sealed(record, DIGEST):
        return None, "the record on disk was altered after it was written"
    return record, None


def differences(record: Mapping[str, Any], present: Mapping[str, Any]) -> list[str]:
    """What a record names that is no longer so, in words.

    Args:
        record: As read.
        present: The same names with what holds now; a name with a table in it is compared entry by entry.
    """
    changed = []
    for name, now in present.items():
        then = record.get(name)
        if isinstance(now, Mapping) and isinstance(then, Mapping):
            parts = [part for part in sorted({*now, *then}) if now.get(part) != then.get(part)]
            changed += [f"{part} (was {_short(then.get(part))}, is {_short(now.get(part))})" for part in parts]
        elif then != now:
            changed.append(f"{name} (was {_short(then)}, is {_short(now)})")
    return ["since the record was written these changed: " + ", ".join(changed)] if changed else []


def row_differences(recorded: Any, found: Sequence[Mapping[str, Any]]) -> list[str]:
    """What rows of criteria say that is not so, in words.

    Args:
        recorded: The rows of a record.
        found: The same, measured again.
    """
    if not isinstance(recorded, list) or not all(isinstance(row, dict) for row in recorded):
        return ["its criteria are no rows"]
    names = [row["name"] for row in found]
    if [row.get("name") for row in recorded] != names:
        return [f"it judges other criteria than {', '.join(names)}"]
    pairs = zip(recorded, found, strict=True)
    return [said for then, now in pairs for said in _row_difference(then, now)]


def _row_difference(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    tolerance = _TOLERANCES.get(now["name"], _EXACT)
    parts = sorted({*then, *now}, key=lambda part: (part not in ("passed", "value", "limit"), part))
    other = [part for part in parts if not _same(then.get(part), now.get(part), tolerance)]
    told = [f"{part} {_short(then.get(part))}, found {_short(now.get(part))}" for part in other[:2]]
    return [f"{now['name']} is not so: the record says {'; '.join(told)}"] if told else []


def _same(then: Any, now: Any, tolerance: float) -> bool:
    """Whether two JSON values are the same, numbers but for a tolerance, also where a sentence tells them."""
    if isinstance(now, float) and isinstance(then, int | float) and not isinstance(then, bool):
        return abs(then - now) <= tolerance
    if isinstance(now, Mapping) and isinstance(then, Mapping):
        return set(now) == set(then) and all(_same(then[name], now[name], tolerance) for name in now)
    if isinstance(now, list) and isinstance(then, list):
        return len(now) == len(then) and all(_same(*pair, tolerance) for pair in zip(then, now, strict=True))
    if isinstance(now, str) and isinstance(then, str) and tolerance > _EXACT:
        return _NUMBERS.sub("#", then) == _NUMBERS.sub("#", now)
    return type(then) is type(now) and bool(then == now)


_NUMBERS = re.compile(r"[-+]?\d[\d.]*(?:e[-+]?\d+)?")


def _short(value: Any) -> str:
    """A value for a sentence: digests by their beginning, long text cut."""
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    if re.fullmatch(r"[0-9a-f]{40,}", text):
        return text[:12]
    return text if len(text) <= 80 else f"{text[:77]}…"


def judging_environment(device: str) -> dict[str, Any]:
    """Where and by what versions a judgement was made."""
    versions: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": device,
        "packages": versions,
    }
