"""Blessing: a person says of a health report that later ones shall be held against it, and why.

The baseline is the report as it was sealed, with a `blessing` that says who, when and why, sealed again.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from beatsight_core.dataset.index import dataset_key
from beatsight_core.errors import GateError, UsageError
from beatsight_core.files import write_json
from beatsight_core.gates.seal import SEAL, sealed
from beatsight_core.health.compare_baseline import BASELINE_FILE, read_report
from beatsight_core.names import place_in
from beatsight_core.provenance import who_and_when
from beatsight_core.safe_text import for_shell
from beatsight_core.settings import Settings

_NAMED = 12


@dataclass(frozen=True, slots=True)
class Blessing:
    """Who made which report the baseline.

    Attributes:
        key: Of the report's manifest.
        at: When, in UTC.
        by: Name of the account.
        host: Of the machine.
        why: As that person put it; empty where all gates passed and nothing was said.
        failed: Gates that had failed.
        report_seal: Seal of the report that was blessed.
        baseline: Where it now lies.
    """

    key: str
    at: str
    by: str
    host: str
    why: str
    failed: tuple[str, ...]
    report_seal: str
    baseline: Path

    def to_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        return {**asdict(self), "failed": list(self.failed), "baseline": str(self.baseline)}


def bless(settings: Settings, ref: str | Path, *, why: str | None = None) -> Blessing:
    """Make the health report of a manifest, as it lies on disk, the baseline of all reports to come.

    Args:
        settings: Say where reports lie.
        ref: The manifest.
        why: Why it is judged good; must be given if gates failed.

    Raises:
        GateError: Gates of the report failed and no reason was given.
        DatasetError: There is no report, it is of another version, or it was edited since.
        ManifestError: The manifest cannot be used.
        UsageError: The reason is blank.
        StorageError: The baseline cannot be written; the last one then stays.
    """
    if why is not None and not why.strip():
        raise UsageError("A blank reason was given for blessing a report", do="say why, in words")
    path = _report_of(settings, str(ref))
    key = str(ref) if path.is_file() else dataset_key(settings, ref)  # a key needs no reading of the manifest
    path = _report_of(settings, key)
    report = read_report(path, "health report", f"judge the data: beatsight health {for_shell(key)}")
    failed = tuple(gate["name"] for gate in report["gates"] if not gate["passed"])
    if failed and why is None:
        more = [f"{len(failed) - _NAMED} more"] if len(failed) > _NAMED else []
        raise GateError(
            f"{len(failed)} gates of this report failed: {', '.join([*failed[:_NAMED], *more])}",
            where=path,
            why="what fails in the baseline does not count as a new failure later",
            do="mend the data, or bless it all the same with --why and a reason",
        )
    target = settings.health_dir / BASELINE_FILE
    done = who_and_when()
    blessing = Blessing(key, done["at"], done["user"], done["host"], why or "", failed, report[SEAL], target)
    said = {name: value for name, value in blessing.to_json().items() if name != "baseline"}
    write_json(target, sealed({**report, "blessing": said}))
    return blessing


def _report_of(settings: Settings, key: str) -> Path:
    return place_in(settings.health_dir, key) / "report.json"
