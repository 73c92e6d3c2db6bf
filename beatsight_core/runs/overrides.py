"""What a run was begun, or gone on with, despite of: gates that refused it, each with the reason of whoever went on.

`runs/<run id>/waived.jsonl`, a line for each time and gate. It stays with the run: a release says what it says.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from beatsight_core.errors import DatasetError
from beatsight_core.files import storage_errors, write_bytes
from beatsight_core.provenance import who_and_when

WAIVED = "waived.jsonl"


@dataclass(frozen=True, slots=True)
class Waiver:
    """A gate that refused, and why somebody went on all the same.

    Attributes:
        gate: "health" or "probe".
        reason: In that person's words.
        refused: What the gate said.
    """

    gate: str
    reason: str
    refused: str

    def __str__(self) -> str:
        return f"{self.reason} (refused: {self.refused})"


def note_waivers(folder: Path, waivers: Iterable[Waiver]) -> None:
    """Add waivers to those of a run, with who and when.

    Args:
        folder: The run's.
        waivers: Of the sitting that begins.
    """
    lines = [orjson.dumps({**asdict(waiver), **who_and_when()}) + b"\n" for waiver in waivers]
    if lines:
        path = folder / WAIVED
        with storage_errors(path):
            before = path.read_bytes() if path.is_file() else b""
        write_bytes(path, before + b"".join(lines))


def read_waivers(folder: Path) -> list[dict[str, Any]]:
    """The waivers of a run, oldest first: gate, reason, refused, at, user, host, program.

    Raises:
        DatasetError: The file is there and cannot be read.
    """
    path = folder / WAIVED
    if not path.is_file():
        return []
    try:
        with storage_errors(path):
            return [orjson.loads(line) for line in path.read_bytes().splitlines()]
    except orjson.JSONDecodeError as error:
        raise DatasetError("The list of what a run went on despite of is broken", where=path, why=str(error)) from error


def waiver_notice(folder: Path) -> str | None:
    """What a release of a run says of its waivers: each gate and reason once; None without any."""
    told = dict.fromkeys((str(line["gate"]), str(line["reason"])) for line in read_waivers(folder))
    return "; ".join(f"trained although the {gate} gate refused: {reason}" for gate, reason in told) or None
