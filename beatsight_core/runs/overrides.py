"""Overrides of gates: a gate refused a run, and somebody went on with it for a reason that is kept.

`runs/<run id>/waived.jsonl` has a line for each override. The file stays with the run, and the notice of a release
repeats what it says.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from beatsight_core.errors import DatasetError
from beatsight_core.files import storage_errors, write_bytes
from beatsight_core.provenance import who_and_when

OVERRIDES = "waived.jsonl"
"""Name of the file in a run's folder; older data roots have it, so it stays."""


@dataclass(frozen=True, slots=True)
class GateOverride:
    """A gate that refused a run, and the reason for which somebody went on.

    Attributes:
        gate: Name of the gate, "health" or "probe".
        reason: Reason in the words of whoever went on.
        refused: Message of the gate.
    """

    gate: str
    reason: str
    refused: str

    def __str__(self) -> str:
        return f"{self.reason} (refused: {self.refused})"


def note_overrides(folder: Path, overrides: Iterable[GateOverride]) -> None:
    """Add overrides to those of a run, with the person and the time.

    Args:
        folder: Folder of the run.
        overrides: Overrides of the attempt that begins.
    """
    lines = [orjson.dumps({**asdict(override), **who_and_when()}) + b"\n" for override in overrides]
    if lines:
        path = folder / OVERRIDES
        with storage_errors(path):
            before = path.read_bytes() if path.is_file() else b""
        write_bytes(path, before + b"".join(lines))


def read_overrides(folder: Path) -> list[dict[str, str]]:
    """Return the overrides of a run, oldest first, each with gate, reason, refused, at, user, host and program.

    Raises:
        DatasetError: The file is there and cannot be read.
    """
    path = folder / OVERRIDES
    if not path.is_file():
        return []
    try:
        with storage_errors(path):
            return [orjson.loads(line) for line in path.read_bytes().splitlines()]
    except orjson.JSONDecodeError as error:
        raise DatasetError("The list of a run's overrides is broken", where=path, why=str(error)) from error


def override_notice(folder: Path) -> str | None:
    """Return what a release of a run says of its overrides, each gate and reason once; None without any."""
    told = dict.fromkeys((str(line["gate"]), str(line["reason"])) for line in read_overrides(folder))
    return "; ".join(f"trained although the {gate} gate refused: {reason}" for gate, reason in told) or None
