"""Approve a health report: a person says that later ones shall be held against it, and why.

The baseline is the report as it was sealed, with a `blessing` that says who, when and why, sealed again. The key is
called so since the first reports; the command is `beatsight health approve`.
"""

from pathlib import Path

from beatsight_core.dataset.index import dataset_key
from beatsight_core.errors import GateError, UsageError
from beatsight_core.files import write_json
from beatsight_core.gates.record import BASELINE_FILE, HEALTH_REPORT, sealed
from beatsight_core.health.compare_baseline import Approval, read_report
from beatsight_core.names import place_in
from beatsight_core.provenance import who_and_when
from beatsight_core.safe_text import for_shell
from beatsight_core.settings import Settings
from beatsight_core.typed_json import to_json

_NAMED = 12


def approve(settings: Settings, ref: str | Path, *, why: str | None = None) -> Approval:
    """Make the health report of a manifest, as it lies on disk, the baseline of all reports to come.

    Args:
        settings: Folder of health reports.
        ref: Manifest, by path, name or key.
        why: Reason for judging it good; must be given if gates failed.

    Raises:
        GateError: Gates of the report failed and no reason was given.
        DatasetError: There is no report, it is of another version, or it was edited since.
        ManifestError: The manifest cannot be used.
        UsageError: The reason is blank.
        StorageError: The baseline cannot be written; the last one then stays.
    """
    if why is not None and not why.strip():
        raise UsageError("A blank reason was given for approving a report", do="say why, in words")
    path = _report_of(settings, str(ref))
    key = str(ref) if path.is_file() else dataset_key(settings, ref)  # a key needs no reading of the manifest
    path = _report_of(settings, key)
    report = read_report(path, "health report", f"judge the data: beatsight health {for_shell(key)}").content
    failed = tuple(gate["name"] for gate in report["gates"] if not gate["passed"])
    if failed and why is None:
        more = [f"{len(failed) - _NAMED} more"] if len(failed) > _NAMED else []
        raise GateError(
            f"{len(failed)} gates of this report failed: {', '.join([*failed[:_NAMED], *more])}",
            where=path,
            why="what fails in the baseline does not count as a new failure later",
            do="mend the data, or approve it all the same with --why and a reason",
        )
    done = who_and_when()
    approval = Approval(key, done["at"], done["user"], done["host"], why or "", failed, report[HEALTH_REPORT.seal])
    write_json(baseline_path(settings), sealed({**report, "blessing": to_json(approval)}, HEALTH_REPORT.seal))
    return approval


def baseline_path(settings: Settings) -> Path:
    """Return where the approved report lies."""
    return settings.health_dir / BASELINE_FILE


def _report_of(settings: Settings, key: str) -> Path:
    return place_in(settings.health_dir, key) / HEALTH_REPORT.file
