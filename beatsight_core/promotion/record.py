"""The gate record: what was judged, by digest, with which figures against which limits. It is what `promote` trusts.

`runs/<run id>/gates/promotion.json`. Its `digest` covers all else in it. A record counts only as long as everything it
names is still what it was: any byte of the record, the checkpoint, the dataset, the spec, the evaluation, the export,
the limits, or the champion that was compared with.
"""

import datetime
import getpass
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from beatsight_core.errors import DatasetError
from beatsight_core.files import digest_json, read_json, write_json
from beatsight_core.training.records import Run

FORMAT = 1
RECORD = Path("gates") / "promotion.json"

_NEEDED = {"run_id", "criteria", "passed", "evaluation_id", "export", "digests", "limits", "compared_with", "notice"}


def seal(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content with its digest."""
    plain = {name: value for name, value in content.items() if name != "digest"}
    return {**plain, "digest": digest_json(plain)}


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
    if seal(record)["digest"] != record.get("digest"):
        return None, "the record on disk was altered after it was written"
    return record, None


def differences(record: Mapping[str, Any], present: Mapping[str, Any]) -> list[str]:
    """What a record names that is no longer so.

    Args:
        record: As read.
        present: The same names with what holds now; a name with a table in it is compared entry by entry.
    """
    changed = []
    for name, now in present.items():
        then = record.get(name)
        if isinstance(now, Mapping) and isinstance(then, Mapping):
            changed += [part for part in sorted({*now, *then}) if now.get(part) != then.get(part)]
        elif then != now:
            changed.append(name)
    return changed


def who_and_when() -> dict[str, str]:
    """Time in UTC, and the person, machine and program that did it."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return {
        "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "user": user,
        "host": platform.node(),
        "program": f"beatsight {program_version()}",
    }


def program_version() -> str:
    """The installed version of this program."""
    try:
        return metadata.version("beatsight")
    except metadata.PackageNotFoundError:
        return "not installed"
