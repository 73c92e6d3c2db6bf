"""The whole lists behind a report's numbers: JSON lines beside it, a file for each; the report has their heads.

A list that is empty has no file.
"""

import functools
import itertools
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from beatsight_core.files import atomic_path, sha256_file, storage_errors
from beatsight_core.health.figures.event_account import Account
from beatsight_core.manifest.read_manifest import Catalog

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


def write_lists(
    folder: Path,
    catalog: Catalog,
    account: Account,
    misplaced: pl.DataFrame,
    out_of_time: Sequence[Mapping[str, Any]] = (),
) -> list[dict[str, Any]]:
    """Write the lists of a report, and remove those of the last one that are empty now.

    Args:
        folder: The report's.
        catalog: Has the lines that were refused.
        account: Where events went.
        misplaced: Events at fault between the two tables of the catalog, as `event_account.at_fault` gives them.
        out_of_time: Recordings whose sound is not where their labels are, each a row.

    Returns:
        Of each list that has lines: `file`, `what`, `lines`, `sha256`, and `head`, the first of them.

    Raises:
        StorageError: A list cannot be written.
    """
    faults = [frame.select(pl.col("event_id"), "fault") for frame in (misplaced, account.at_fault)]
    frames = {
        "lost_events.jsonl": account.lost,
        "not_exported.jsonl": account.not_exported,
        "at_fault.jsonl": pl.concat(faults).unique(maintain_order=True),
    }
    writers: dict[str, Callable[[Path], object]] = {
        name: functools.partial(_write_rows, frame) for name, frame in frames.items() if frame.height
    }
    if out_of_time:
        lines = b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in out_of_time)
        writers["out_of_time.jsonl"] = lambda path: path.write_bytes(lines)
    with storage_errors(folder):
        if catalog.rejected_path.exists() and catalog.rejected_path.stat().st_size:
            writers["refused_lines.jsonl"] = lambda path: shutil.copyfile(catalog.rejected_path, path)
        for name in LISTS.keys() - writers.keys():
            (folder / name).unlink(missing_ok=True)
    return [_written(folder / name, writers[name]) for name in LISTS if name in writers]


def _write_rows(frame: pl.DataFrame, path: Path) -> None:
    with path.open("wb") as handle:
        for part in frame.iter_slices(_BLOCK):  # as text, millions of rows are larger than they are as a table
            part.write_ndjson(handle)


def _written(path: Path, write: Callable[[Path], object]) -> dict[str, Any]:
    with atomic_path(path) as temporary:
        write(temporary)
    with storage_errors(path), path.open("rb") as handle:
        head = [orjson.loads(line) for line in itertools.islice(handle, HEAD)]
        lines = len(head) + sum(1 for _ in handle)
    return {"file": path.name, "what": LISTS[path.name], "lines": lines, "sha256": sha256_file(path), "head": head}
