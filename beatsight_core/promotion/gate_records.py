"""The gate records of a run as they lie on disk: read, with their seals looked at, and nothing measured again.

`judge` and `probe_record` measure what they say again before they are believed.
"""

from pathlib import Path

from beatsight_core.errors import DatasetError
from beatsight_core.files import read_json
from beatsight_core.gates.record import PROBE_RECORD, PROMOTION_RECORD, SealedRecord
from beatsight_core.runs.records import Run
from beatsight_core.safe_text import for_shell


def read_promotion_record(trained: Run) -> SealedRecord | None:
    """Return the gate record of a run; None where it was not judged.

    Raises:
        GateError: The record is broken, has another format, or was altered.
    """
    path, subject, do = about_promotion_record(trained)
    return SealedRecord.read(path, PROMOTION_RECORD, subject=subject, do=do)


def about_promotion_record(trained: Run) -> tuple[Path, str, str]:
    """Return the file of a run's record, its name in messages, and the remedy where it does not hold."""
    do = f"find out why; then judge the run again: beatsight judge {for_shell(trained.run_id)}"
    return trained.folder / PROMOTION_RECORD.file, f"gate record of {trained.run_id}", do


def read_probe_record(run: Run) -> SealedRecord | None:
    """Return the record of a probe; None where it was not judged, or only by an earlier version.

    Raises:
        GateError: The record is broken, has another format, or was altered.
    """
    path = run.folder / PROBE_RECORD.file
    if _is_of_earlier_format(path):
        return None
    return SealedRecord.read(
        path,
        PROBE_RECORD,
        subject=f"gate record of the probe {run.run_id}",
        do=f"find out why; then judge it again: beatsight judge --probe {for_shell(run.run_id)}",
    )


def _is_of_earlier_format(path: Path) -> bool:
    """Return whether a record is of an earlier version, whose probes are judged again; a broken one is not."""
    try:
        record = read_json(path)
    except DatasetError:
        return False
    return isinstance(record, dict) and record.get("format") in PROBE_RECORD.earlier
