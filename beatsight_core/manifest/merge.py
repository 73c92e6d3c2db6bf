"""One manifest out of several: every line of all of them once, byte for byte.

Two passes. The first takes four keys of every line, 40 bytes, by several processes: two of its event id, of its content
and of its stroke. They decide which lines stay. The second copies these.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from beatsight_core.errors import ManifestError, UsageError
from beatsight_core.files import atomic_path
from beatsight_core.manifest.identity import SUFFIXES, ManifestState, is_compressed
from beatsight_core.manifest.parsing.chunks import run_job
from beatsight_core.manifest.parsing.lines import Chunk, read_chunks, solid_lines
from beatsight_core.manifest.parsing.parse import BOM
from beatsight_core.manifest.parsing.repeats import Keys, Mask, first_of_equal, text_keys
from beatsight_core.progress import Progress, SilentProgress
from beatsight_core.typed_json import JsonObject, JsonValue, to_json
from beatsight_core.workers import WorkerPool

POLICIES = ("error", "first", "last")
"""What to do with events of one id and different content."""

SHOWN_CONFLICTS = 10

Bools = npt.NDArray[np.bool_]
Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True)
class MergeResult:
    """The result of a merge.

    Attributes:
        path: The manifest that was written.
        lines: Input -> its lines that are not blank.
        written: Lines of the result.
        same: Lines left out because an earlier one has the same id and content.
        conflicts: Lines left out because another of the same id, with other content, was preferred.
        repeats: Events that repeat session, onset and components of an earlier one under another id.
        repeats_dropped: Number of these that were left out.
        without_id: Lines that are no JSON object with an event id; they are kept for the catalog to reject.
    """

    path: str
    lines: dict[str, int]
    written: int
    same: int
    conflicts: int
    repeats: int
    repeats_dropped: int
    without_id: int

    def to_json(self) -> JsonObject:
        """Return the result as `--json` prints it."""
        return to_json(self)


@dataclass(frozen=True, slots=True)
class _Keys:
    """The keys of lines that are not blank, shapes (lines,)."""

    known: Bools
    ids: tuple[Keys, Keys]
    contents: Keys
    strokes: tuple[Keys, Keys]
    has_stroke: Bools

    @classmethod
    def joined(cls, parts: Sequence["_Keys"]) -> "_Keys":
        def join(of: Callable[["_Keys"], npt.NDArray[Scalar]]) -> npt.NDArray[Scalar]:
            return np.concatenate([of(part) for part in parts])

        return cls(
            join(lambda part: part.known),
            (join(lambda part: part.ids[0]), join(lambda part: part.ids[1])),
            join(lambda part: part.contents),
            (join(lambda part: part.strokes[0]), join(lambda part: part.strokes[1])),
            join(lambda part: part.has_stroke),
        )


@dataclass(frozen=True, slots=True)
class _KeysJob:
    """The lines of a chunk, to be reduced to keys."""

    path: Path
    chunk: Chunk

    def run(self) -> tuple[int, _Keys]:
        read = [_line_keys(line) for line in _lines(self.path, self.chunk)]
        ids, contents, strokes = zip(*read, strict=True) if read else ((), (), ())
        return self.chunk.size, _Keys(
            np.array([text is not None for text in ids], bool),
            _keys(ids),
            _keys(contents)[0],
            _keys(strokes),
            np.array([text is not None for text in strokes], bool),
        )


def merge_manifests(
    inputs: Sequence[Path],
    output: Path,
    *,
    on_conflict: str = "error",
    drop_repeats: bool = False,
    force: bool = False,
    workers: int = 1,
    progress: Progress | None = None,
) -> MergeResult:
    """Write the union of manifests, in the order in which they are named.

    Args:
        inputs: Manifests, plain or compressed.
        output: File to write; compressed if its name ends in .gz or .zst.
        on_conflict: Policy for events with one id and different content: "error", or keep the "first" or the "last".
        drop_repeats: True to leave out events that repeat session, onset and components of an earlier one.
        force: True to replace `output` if it is there.
        workers: Number of processes.
        progress: Receiver of the bytes compared and the lines merged.

    Raises:
        UsageError: `output` is there, is an input, or has no name of a manifest.
        ManifestError: Contents conflict, or an input is missing, damaged or changes meanwhile.
        StorageError: A drive is full or gone. `output` is then as it was.
    """
    _check_request(inputs, output, on_conflict, force)
    progress = progress or SilentProgress()
    states = [_state(path) for path in inputs]
    keys, counts = _scan(inputs, workers, progress)
    first, conflicting = _by_id(keys)
    if on_conflict == "error" and conflicting.any():
        raise _conflict_error(inputs, counts, conflicting)
    keep = _kept(keys, first, conflicting, last=on_conflict == "last")
    repeats = _repeats(keys, keep)
    same, conflicts = int((~keep & ~conflicting).sum()), int((~keep & conflicting).sum())
    if drop_repeats:
        keep &= ~repeats
    with progress.task("merge", len(keep), "lines") as task, atomic_path(output) as temporary:
        with _text_sink(temporary, output.name) as sink:
            for lines, wanted in _with_rows(inputs, keep):
                sink.write(b"".join([line + b"\n" for line, kept in zip(lines, wanted, strict=False) if kept]))
                task.advance(len(lines))
        if [_state(path) for path in inputs] != states:
            raise ManifestError("A manifest changed while it was merged", where=output, do="run again")
    return MergeResult(
        str(output),
        {str(path): count for path, count in zip(inputs, counts, strict=True)},
        int(keep.sum()),
        same,
        conflicts,
        int(repeats.sum()),
        int(repeats.sum()) if drop_repeats else 0,
        int((~keys.known).sum()),
    )


def _check_request(inputs: Sequence[Path], output: Path, on_conflict: str, force: bool) -> None:
    if on_conflict not in POLICIES:
        raise UsageError(f"on_conflict is one of {', '.join(POLICIES)}, not {on_conflict!r}")
    if not output.name.endswith(SUFFIXES):
        raise UsageError("The result must have a manifest's name", where=output, do=f"end it in {', '.join(SUFFIXES)}")
    if len({path.resolve() for path in inputs}) < len(inputs):
        raise UsageError("A manifest is named twice", where=", ".join(map(str, inputs)), do="name each once")
    if output.resolve() in {path.resolve() for path in inputs}:
        raise UsageError("The result would replace one of its inputs", where=output, do="name another file")
    if output.exists() and not force:
        raise UsageError("The result is there already", where=output, do="name another file, or say --force")


def _state(path: Path) -> ManifestState:
    if not path.is_file():
        raise ManifestError("There is no such manifest", where=path, do="check the path")
    return ManifestState.of(path)


def _scan(inputs: Sequence[Path], workers: int, progress: Progress) -> tuple[_Keys, list[int]]:
    parts: list[_Keys] = []
    counts = []
    total = sum(path.stat().st_size for path in inputs) / 1e6
    exact = not any(is_compressed(path) for path in inputs)
    with progress.task("compare", total if exact else None, "MB") as task, WorkerPool(run_job, workers) as pool:
        for path in inputs:
            count = 0
            for size, keys in pool.map(_KeysJob(path, chunk) for chunk in read_chunks(path)):
                parts.append(keys)
                count += len(keys.known)
                task.advance(size / 1e6)
            counts.append(count)
    if not sum(counts):
        raise ManifestError("The manifests hold no line", where=", ".join(map(str, inputs)), do="export them again")
    return _Keys.joined(parts), counts


def _by_id(keys: _Keys) -> tuple[Mask, Mask]:
    """Which lines are the first of their id, and which share their id with a line of other content."""
    rows = np.flatnonzero(keys.known)
    firsts = first_of_equal(keys.ids[0][rows], keys.ids[1][rows])
    differs = keys.contents[rows] != keys.contents[rows][firsts]
    conflicting_ids = np.zeros(len(rows), bool)
    conflicting_ids[firsts[differs]] = True
    first, conflicting = np.ones(len(keys.known), bool), np.zeros(len(keys.known), bool)
    first[rows] = firsts == np.arange(len(rows))
    conflicting[rows] = conflicting_ids[firsts]
    return first, conflicting


def _kept(keys: _Keys, first: Mask, conflicting: Mask, *, last: bool) -> Mask:
    """The first line of each id, or of an id with a conflict the last one."""
    keep = first.copy()
    if last and conflicting.any():
        rows = np.flatnonzero(conflicting)[::-1]
        firsts = first_of_equal(keys.ids[0][rows], keys.ids[1][rows])
        keep[rows] = firsts == np.arange(len(rows))
    return keep


def _repeats(keys: _Keys, keep: Mask) -> Mask:
    rows = np.flatnonzero(keep & keys.has_stroke)
    firsts = first_of_equal(keys.strokes[0][rows], keys.strokes[1][rows])
    repeats = np.zeros(len(keep), bool)
    repeats[rows] = firsts != np.arange(len(rows))
    return repeats


def _conflict_error(inputs: Sequence[Path], counts: Sequence[int], conflicting: Mask) -> ManifestError:
    shown: dict[str, None] = {}
    for lines, wrong in _with_rows(inputs, conflicting):
        for line in itertools.compress(lines, wrong):
            shown.setdefault(str(_event_id(orjson.loads(line))))
        if len(shown) > SHOWN_CONFLICTS:
            break
    names = [*shown][:SHOWN_CONFLICTS] + (["…"] if len(shown) > SHOWN_CONFLICTS else [])
    return ManifestError(
        f"{int(conflicting.sum()):,} of {sum(counts):,} lines share an event id with a line of other content",
        where=", ".join(map(str, inputs)),
        why=f"event ids {', '.join(names)}",
        do="mend them, or keep the first or the last of each with --on-conflict",
    )


def _line_keys(line: bytes) -> tuple[str | None, str | None, str | None]:
    """The texts of which the keys of id, content and stroke are made; None where there is none."""
    try:
        value = orjson.loads(line)
        event_id = _event_id(value)
        content = orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode() if event_id is not None else None
    except (orjson.JSONDecodeError, TypeError):
        return None, None, None
    return event_id, content, _stroke(value) if event_id is not None else None


def _event_id(value: JsonValue) -> str | None:
    if not isinstance(value, dict):
        return None
    found = value.get("event_id") if value.get("event_id") is not None else value.get("sample_id")
    return found if isinstance(found, str) else None


def _stroke(event: JsonObject) -> str | None:
    session, onset, components = (event.get(name) for name in ("session_id", "onset_time", "components"))
    if not isinstance(session, str) or not isinstance(onset, int | float) or isinstance(onset, bool):
        return None
    parts = components if isinstance(components, list) else []
    labels = [label for part in parts if isinstance(part, dict) and isinstance(label := part.get("label"), str)]
    if not labels or len(labels) < len(parts):
        return None
    return orjson.dumps([session, float(onset or 0), sorted(set(labels))]).decode()


def _keys(texts: Iterable[str | None]) -> tuple[Keys, Keys]:
    return text_keys(pa.array(["" if text is None else text for text in texts], pa.large_string()))


def _with_rows(inputs: Sequence[Path], rows: Mask) -> Iterator[tuple[list[bytes], list[bool]]]:
    """The lines of each chunk of each manifest, with what `rows` says of each."""
    place = 0
    for path in inputs:
        for chunk in read_chunks(path):
            lines = list(_lines(path, chunk))
            yield lines, rows[place : place + len(lines)].tolist()
            place += len(lines)


def _lines(path: Path, chunk: Chunk) -> Iterator[bytes]:
    """The lines of a chunk that are not blank, without their line break and without a byte-order mark."""
    if chunk.too_long:
        raise ManifestError(
            f"A line has {chunk.size:,} bytes", where=f"{path}, byte {chunk.offset}", do="take it out of the manifest"
        )
    for number, block in enumerate(chunk.blocks(path)):
        text = block.removeprefix(BOM) if number == 0 and chunk.offset == 0 else block
        yield from solid_lines(text).lines


def _text_sink(path: Path, name: str) -> Any:
    if not is_compressed(Path(name)):
        return path.open("wb", buffering=1 << 20)
    return pa.CompressedOutputStream(str(path), "gzip" if name.endswith(".gz") else "zstd")
