"""The whole lists behind a report's numbers: JSON lines beside it, a file for each; the report has their heads.

A list that is empty has no file.
"""

import functools
import itertools
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
import polars as pl

from beatsight_core.files import atomic_path, sha256_file, storage_errors
from beatsight_core.health.figures.event_account import Account
from beatsight_core.health.figures.session_figures import OutOfTime
from beatsight_core.manifest.read_manifest import Catalog
from beatsight_core.typed_json import JsonObject

_BLOCK = 50_000
HEAD = 20
"""Lines of each list that the report repeats."""

LISTS = {
    "refused_lines.jsonl": "Lines of the manifest that are no events, and why",
    "lost_events.jsonl": "Events that are in no clip, and why",
    "not_exported.jsonl": "Files of source sets that were not exported",
    "out_of_time.jsonl": "Sessions whose sound is not where their labels are",
    "at_fault.jsonl": "Events that a comparison found lost, foreign or repeated",
}


@dataclass(frozen=True, slots=True)
class ReportList:
    """A list beside a report.

    Attributes:
        file: Name of its file.
        what: Sentence that says what it lists.
        lines: Number of its lines.
        sha256: SHA-256 of the file.
        head: First lines.
    """

    file: str
    what: str
    lines: int
    sha256: str
    head: tuple[JsonObject, ...]


def write_lists(
    folder: Path,
    catalog: Catalog,
    account: Account,
    misplaced: pl.DataFrame,
    out_of_time: Sequence[OutOfTime] = (),
) -> tuple[ReportList, ...]:
    """Write the lists of a report that have lines, and remove those of the last one that are empty now.

    Args:
        folder: Folder of the report.
        catalog: Catalog with the lines that were refused.
        account: Account of every event.
        misplaced: Events at fault between the two tables of the catalog, as `event_account.at_fault` gives them.
        out_of_time: Recordings whose sound is not where their labels are.

    Raises:
        StorageError: A list cannot be written.
    """
    faults = [frame.select(pl.col("event_id"), "fault") for frame in (misplaced, account.at_fault)]
    frames = {
        "lost_events.jsonl": account.lost,
        "not_exported.jsonl": account.not_exported,
        "at_fault.jsonl": pl.concat(faults).unique(maintain_order=True),
    }
    writers: dict[str, Callable[[Path], None]] = {
        name: functools.partial(_write_frame, frame) for name, frame in frames.items() if frame.height
    }
    if out_of_time:
        writers["out_of_time.jsonl"] = functools.partial(_write_recordings, out_of_time)
    with storage_errors(folder):
        if catalog.rejected_path.exists() and catalog.rejected_path.stat().st_size:
            writers["refused_lines.jsonl"] = functools.partial(_copy, catalog.rejected_path)
        for name in LISTS.keys() - writers.keys():
            (folder / name).unlink(missing_ok=True)
    return tuple(_written(folder / name, writers[name]) for name in LISTS if name in writers)


def _write_recordings(rows: Sequence[OutOfTime], path: Path) -> None:
    path.write_bytes(b"".join(orjson.dumps(row.to_json(), option=orjson.OPT_APPEND_NEWLINE) for row in rows))


def _copy(source: Path, path: Path) -> None:
    shutil.copyfile(source, path)


def _write_frame(frame: pl.DataFrame, path: Path) -> None:
    with path.open("wb") as handle:
        for part in frame.iter_slices(_BLOCK):  # as text, millions of rows are larger than they are as a table
            part.write_ndjson(handle)


def _written(path: Path, write: Callable[[Path], None]) -> ReportList:
    with atomic_path(path) as temporary:
        write(temporary)
    with storage_errors(path), path.open("rb") as handle:
        head = tuple(orjson.loads(line) for line in itertools.islice(handle, HEAD))
        lines = len(head) + sum(1 for _ in handle)
    return ReportList(path.name, LISTS[path.name], lines, sha256_file(path), head)
