"""A sealed record: a verdict on disk, with everything that it rests on. Health reports and gate records are these.

A record is never its own witness. Its seal, a SHA-256 over all else in it, says that nobody edited it in passing; it is
no signature, as whoever can run the judgement can seal. So before a record is used, its inputs (digests and limits) are
compared with what is there now, and every gate is measured again. `SealedRecord` does the three the same way for all.
"""

import hashlib
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import orjson

from beatsight_core.errors import BeatSightError, DatasetError, GateError
from beatsight_core.files import json_bytes, read_json, write_json
from beatsight_core.gates.gate import Gate
from beatsight_core.typed_json import JsonObject, JsonValue

EXACT = 1e-9
"""Difference by which a figure that is measured again may differ."""


@dataclass(frozen=True, slots=True)
class RecordForm:
    """What records of one kind look like.

    Attributes:
        file: Place of the record, relative to the folder of what it judges.
        format: Value of `format` in records of this version.
        seal: Key of the seal.
        gates: Key of the list of gates.
        needed: Keys that every record has.
        compared: Parts of a gate that must be what is measured again.
        tolerances: Gate -> difference that another device or moment may make; `EXACT` for all others.
        earlier: Formats of earlier versions; their records are judged again without being asked for.
    """

    file: Path
    format: int | str
    seal: str
    gates: str
    needed: frozenset[str]
    compared: tuple[str, ...] = ("passed", "value", "limit", "sign", "margin", "message", "details")
    tolerances: Mapping[str, float] = field(default_factory=dict)
    earlier: tuple[int | str, ...] = ()


HEALTH_REPORT = RecordForm(
    file=Path("report.json"),
    format="beatsight.health/2",
    seal="seal",
    gates="gates",
    needed=frozenset({"key", "passed", "gates", "statistics"}),
    compared=("passed", "value", "limit"),
)
"""`reports/health/<key>/report.json`; its figures are in it, so its gates are measured from the record itself."""

BASELINE_FILE = "baseline.json"
"""The approved health report that others are held against, in the folder of all health reports."""

PROMOTION_RECORD = RecordForm(
    file=Path("gates") / "promotion.json",
    format=3,
    seal="digest",
    gates="criteria",
    needed=frozenset(
        {
            "run_id", "key", "preset", "profile", "criteria", "passed", "evaluation_id", "slice_id", "export",
            "digests", "limits", "compared_with", "notice", "health", "environment", "made",
        }
    ),
    tolerances={"no_class_worse": 0.01, "exported_model": 1e-3},
)  # fmt: skip
"""`runs/<run id>/gates/promotion.json`, which a promotion asks for. Format 2 added the slice, the health report and the
environment, 3 the seal that health reports have."""

PROBE_RECORD = RecordForm(
    file=Path("gates") / "probe.json",
    format=3,
    seal="digest",
    gates="gates",
    needed=frozenset({"format", "gates", "passed", "digests", "limits"}),
    earlier=(2,),
)
"""`runs/<run id>/gates/probe.json`, which a long run asks for. Format 3 added signs and settings to its gates."""


@dataclass(frozen=True, slots=True)
class SealedRecord:
    """A record as it lies on disk, with an intact seal.

    Attributes:
        form: Kind of record.
        path: File of the record.
        content: JSON values of the record.
        subject: Name of the record in messages.
        do: Remedy where the record does not hold.
    """

    form: RecordForm
    path: Path
    content: dict[str, Any]
    subject: str
    do: str

    @classmethod
    def read(
        cls, path: Path, form: RecordForm, *, subject: str, do: str, error: type[BeatSightError] = GateError
    ) -> Self | None:
        """Read a record; None where there is none.

        Args:
            path: File of the record.
            form: Kind of record.
            subject: Name of the record in messages.
            do: Remedy where the record does not hold.
            error: Kind of error where it does not.

        Raises:
            BeatSightError: The file is no JSON, has another format, or was altered after it was written.
        """
        if not path.is_file():
            return None
        try:
            content = read_json(path)
        except DatasetError as broken:
            raise _refusal(error, subject, broken.what, path, do) from broken
        if not isinstance(content, dict) or not _has_form(content, form):
            raise _refusal(error, subject, "it has another format", path, do)
        if not is_sealed(content, form.seal):
            raise _refusal(error, subject, "it was altered after it was written", path, do)
        return cls(form, path, content, subject, do)

    @property
    def passed(self) -> bool:
        """Verdict that the record states."""
        return bool(self.content["passed"])

    def refusal(self, why: str) -> GateError:
        """Return the error that says why this record does not hold, and what to do."""
        return GateError(f"The {self.subject} does not hold: {why}", where=self.path, do=self.do)

    def only(self, present: Mapping[str, JsonValue]) -> Self:
        """Return the record with no other digests than `present` has, for a look at the first inputs alone."""
        digests, wanted = self.content["digests"], present["digests"]
        known = digests if isinstance(digests, Mapping) else {}
        named = {name: known.get(name) for name in wanted} if isinstance(wanted, Mapping) else {}
        return replace(self, content={**self.content, "digests": named})

    def changed_inputs(self, present: Mapping[str, JsonValue]) -> list[str]:
        """Return what the record rests on that is no longer so, in words.

        Args:
            present: Names as in the record, with what holds now; a name with a table in it is compared entry by entry.
        """
        changed = []
        for name, now in present.items():
            then = self.content.get(name)
            if isinstance(now, Mapping) and isinstance(then, Mapping):
                parts = [part for part in sorted({*now, *then}) if now.get(part) != then.get(part)]
                changed += [f"{part} (was {_short(then.get(part))}, is {_short(now.get(part))})" for part in parts]
            elif then != now:
                changed.append(f"{name} (was {_short(then)}, is {_short(now)})")
        return ["since the record was written these changed: " + ", ".join(changed)] if changed else []

    def changed_gates(self, measured: Sequence[Gate]) -> list[str]:
        """Return what the record's gates and verdict say that is not so, in words.

        Args:
            measured: The same gates, measured again.
        """
        recorded = self.content[self.form.gates]
        if not isinstance(recorded, list) or not all(isinstance(row, dict) for row in recorded):
            return [f"its {self.form.gates} are no rows"]
        names = [gate.name for gate in measured]
        if [row.get("name") for row in recorded] != names:
            return [f"it judges other {self.form.gates} than {', '.join(names)}"]
        rows: list[JsonObject] = [orjson.loads(json_bytes(gate.to_json())) for gate in measured]
        told = [said for then, now in zip(recorded, rows, strict=True) for said in self._gate_difference(then, now)]
        if self.content["passed"] != all(gate.passed for gate in measured):
            told.append(f"the verdict: the record says passed {self.content['passed']}")
        return told

    def _gate_difference(self, then: Mapping[str, JsonValue], now: Mapping[str, JsonValue]) -> list[str]:
        """What a gate says that is not so. Records of earlier versions lack parts that only help to show a gate."""
        tolerance = self.form.tolerances.get(str(now["name"]), EXACT)
        asked = [part for part in self.form.compared if part in then or part in ("passed", "value", "limit")]
        other = [part for part in asked if not _same(then.get(part), now[part], tolerance)]
        told = [f"{part} {_short(then.get(part))}, found {_short(now[part])}" for part in other[:2]]
        return [f"{now['name']} is not so: the record says {'; '.join(told)}"] if told else []


def write_record(path: Path, form: RecordForm, content: Mapping[str, JsonValue], gates: Sequence[Gate]) -> JsonObject:
    """Seal a verdict and replace its record, atomically.

    Args:
        path: File of the record.
        form: Kind of record.
        content: JSON-safe values beside format, gates and verdict.
        gates: Gates of the verdict.

    Returns:
        The record as its readers get it.
    """
    rows: list[JsonValue] = [dict(gate.to_json()) for gate in gates]
    passed = all(gate.passed for gate in gates)
    record = sealed({"format": form.format, **content, form.gates: rows, "passed": passed}, form.seal)
    write_json(path, record)
    return record


def sealed(report: Mapping[str, JsonValue], key: str) -> JsonObject:
    """Return a report as plain JSON values with its seal; one that it had before is replaced.

    Args:
        report: JSON-safe values.
        key: Key of the seal.
    """
    plain: JsonObject = orjson.loads(json_bytes({name: value for name, value in report.items() if name != key}))
    return plain | {key: seal_of(plain, key)}


def is_sealed(report: object, key: str) -> bool:
    """Return whether a report, as read from its file, carries the seal of exactly what it says."""
    return isinstance(report, Mapping) and key in report and report[key] == seal_of(report, key)


def seal_of(report: Mapping[str, JsonValue], key: str) -> str:
    """Return the SHA-256, in hex, of the canonical JSON (sorted keys, no spaces, UTF-8) of all but the seal."""
    body = {name: value for name, value in report.items() if name != key}
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


PACKAGES = ("beatsight", "torch", "numpy", "onnx", "onnxruntime", "safetensors", "dagster")
"""What a judgement depends on; the record names their versions."""


def judging_environment(device: str) -> JsonObject:
    """Return where and by what versions a judgement was made."""
    versions: JsonObject = {}
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


def _has_form(content: Mapping[str, JsonValue], form: RecordForm) -> bool:
    return content.get("format") in (form.format, *form.earlier) and set(content) >= form.needed


def _refusal(error: type[BeatSightError], subject: str, why: str, path: Path, do: str) -> BeatSightError:
    return error(f"The {subject} does not hold: {why}", where=path, do=do)


def _same(then: JsonValue, now: JsonValue, tolerance: float) -> bool:
    """Whether two JSON values are the same, numbers but for a tolerance, also where a sentence tells them."""
    numbers = [one for one in (then, now) if isinstance(one, int | float) and not isinstance(one, bool)]
    if len(numbers) == 2:  # a count may be written as 0 and as 0.0
        return abs(numbers[0] - numbers[1]) <= tolerance
    if isinstance(now, Mapping) and isinstance(then, Mapping):
        return set(now) == set(then) and all(_same(then[name], now[name], tolerance) for name in now)
    if isinstance(now, list) and isinstance(then, list):
        return len(now) == len(then) and all(_same(*pair, tolerance) for pair in zip(then, now, strict=True))
    if isinstance(now, str) and isinstance(then, str) and tolerance > EXACT:
        return _NUMBERS.sub("#", then) == _NUMBERS.sub("#", now)
    return type(then) is type(now) and bool(then == now)


_NUMBERS = re.compile(r"[-+]?\d[\d.]*(?:e[-+]?\d+)?")


def _short(value: JsonValue) -> str:
    """A value for a sentence: digests by their beginning, long text cut."""
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    if re.fullmatch(r"[0-9a-f]{40,}", text):
        return text[:12]
    return text if len(text) <= 80 else f"{text[:77]}…"
