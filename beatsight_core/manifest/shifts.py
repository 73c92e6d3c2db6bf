"""Corrections of onsets: labels that are early or late by a known time are moved, as settings say and only then.

`[sources.<name>] shift_ms` moves the onsets of a source set; `session_shifts` names a file with a shift for each
session that has one of its own, which then counts instead. Above 0 moves later: a session that sounds 120 ms late is
mended by 120. Events are moved as they are read, so that all that follows sees the moved onsets and no others.
"""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from beatsight_core.errors import SettingsError
from beatsight_core.files import storage_errors
from beatsight_core.settings import Settings
from beatsight_core.settings.sections import MOST_SHIFT_MS
from beatsight_core.typed_json import JsonObject

if TYPE_CHECKING:
    import pyarrow as pa

SESSION, SHIFT = "session_id", "shift_ms"
"""Columns of a file of shifts."""

_FORMAT = f"a CSV with the heading {SESSION},{SHIFT}, or JSON lines with these fields"


@dataclass(frozen=True)
class Shifts:
    """The corrections of onsets that settings ask for; picklable.

    Attributes:
        of_source: Source set -> milliseconds.
        of_session: Source set -> session -> milliseconds, instead of the source set's.
    """

    of_source: Mapping[str, float] = field(default_factory=dict)
    of_session: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @classmethod
    def from_settings(cls, settings: Settings) -> "Shifts":
        """Read what settings say, and the files that they name.

        Raises:
            SettingsError: A file of shifts is missing or cannot be used.
            StorageError: A file cannot be read.
        """
        files = {name: source.session_shifts for name, source in settings.sources.items()}
        return cls(
            {name: source.shift_ms for name, source in settings.sources.items() if source.shift_ms},
            {name: read_shifts(path, name) for name, path in files.items() if path is not None},
        )

    def __bool__(self) -> bool:
        return bool(self.of_source or self.of_session)

    def identity(self, source_set: str) -> "tuple[float, list[tuple[str, float]]] | None":
        """Return what bears on the events of a source set, for a digest; None if nothing does."""
        own = self.of_session.get(source_set, {})
        shift = self.of_source.get(source_set, 0.0)
        return (shift, sorted(own.items())) if shift or own else None

    def ms(self, source_set: str, session: str) -> float:
        """Return by how much a session's onsets are moved."""
        return self.of_session.get(source_set, {}).get(session, self.of_source.get(source_set, 0.0))

    def moved(self, events: "pa.RecordBatch") -> "pa.RecordBatch":
        """Return events with their onsets moved; one that would lie before the file begins lies at its beginning.

        Args:
            events: Events with the columns of `EVENT_SCHEMA`, text as dictionaries or not.
        """
        if not self or not events.num_rows:
            return events
        import numpy as np  # not above: whoever only asks for a catalog needs none of these
        import pyarrow as pa

        from beatsight_core.manifest.catalog_counts import dictionary_parts

        sources, source_names = dictionary_parts(events.column("source_set"))
        sessions, session_names = dictionary_parts(events.column("session_id"))
        if not {*source_names} & {*self.of_source, *self.of_session}:
            return events
        table = np.array([[self.ms(source, session) for session in session_names] for source in source_names])
        onsets = events.column("onset_time").to_numpy() + table[sources, sessions] / 1000.0
        place = events.schema.get_field_index("onset_time")
        return events.set_column(place, events.schema.field(place), pa.array(np.maximum(onsets, 0.0)))

    def corrections(self, sessions: Iterable[tuple[str, str]]) -> dict[str, dict[str, float]]:
        """Return source set -> what was moved: `shift_ms` of all, and how many `sessions` have a shift of their own.

        `unknown` counts the sessions of its file that the catalog lacks, as misspelt ones are; left out where it is 0.

        Args:
            sessions: Pairs (source set, session) of a catalog.
        """
        of_source: dict[str, set[str]] = {}
        for source, session in sessions:
            of_source.setdefault(source, set()).add(session)
        found: dict[str, dict[str, float]] = {}
        for source, known in sorted(of_source.items()):
            shift, named = self.of_source.get(source, 0.0), set(self.of_session.get(source, {}))
            if shift or named:
                found[source] = {SHIFT: shift, "sessions": len(named & known)}
                found[source] |= {"unknown": len(named - known)} if named - known else {}
        return found


def read_shifts(path: Path, source_set: str) -> dict[str, float]:
    """Read a file of shifts: session -> milliseconds.

    Args:
        path: CSV with a heading, or JSON lines, such as a health report's `out_of_time.jsonl`. Lines of another source
            set are passed over.
        source_set: Source set of the sessions.

    Raises:
        SettingsError: The file is missing, of another form, or a line makes no sense.
        StorageError: The file cannot be read.
    """
    setting = f"sources.{source_set}.session_shifts"
    if not path.is_file():
        raise SettingsError(f"{setting} names a file that is not there", where=path, do="write it, or take it out")
    with storage_errors(path):
        text = path.read_bytes().decode("utf-8-sig", "replace")
    shifts: dict[str, float] = {}
    for place, row in _rows(text, path):
        if row.get("source_set", source_set) != source_set:
            continue
        session, shift = _checked(row, f"{path}, line {place}")
        if shifts.setdefault(session, shift) != shift:
            raise _wrong(f"{path}, line {place}", f"{session} stands there twice with different shifts")
    return shifts


def corrections_notice(corrections: Mapping[str, Mapping[str, float]]) -> str | None:
    """Return what reports, records and cards say of onsets that were moved; None where none were.

    Args:
        corrections: Corrections of a catalog's summary.
    """
    parts_of = []
    for name, entry in corrections.items():
        own = int(entry["sessions"])
        parts = [f"{entry[SHIFT]:+g} ms"] if entry[SHIFT] else []
        parts += [f"{own:,} session{'s' if own != 1 else ''} by a shift of their own"] if own else []
        parts += [f"{entry['unknown']:,} of its file not in the manifest"] if entry.get("unknown") else []
        parts_of.append(f"{name} ({', '.join(parts)})")
    return f"onsets were moved as settings say: {'; '.join(parts_of)}" if parts_of else None


def _rows(text: str, path: Path) -> Iterator[tuple[int, JsonObject]]:
    """Number and fields of every line."""
    lines = text.splitlines()
    first = next((line for line in lines if line.strip()), "")
    if first.lstrip().startswith("{"):
        for place, line in enumerate(lines, 1):
            if line.strip():
                yield place, _object(line, f"{path}, line {place}")
        return
    reader = csv.DictReader(io.StringIO(text))
    if not {SESSION, SHIFT} <= set(reader.fieldnames or ()):
        raise SettingsError("A file of shifts has another form", where=path, do=f"write {_FORMAT}")
    for row in reader:
        yield reader.line_num, {**row}


def _object(line: str, where: str) -> JsonObject:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise _wrong(where, f"it is not JSON: {error}") from error
    if not isinstance(row, dict):
        raise _wrong(where, "it is no object")
    return row


def _checked(row: JsonObject, where: str) -> tuple[str, float]:
    """Session and shift of a line."""
    session, given = row.get(SESSION), row.get(SHIFT)
    if not isinstance(session, str) or not session:
        raise _wrong(where, f"{SESSION} is missing")
    if row.get("drift_ms"):
        raise _wrong(where, f"{session} drifts: no constant shift mends it")
    try:
        is_stated = isinstance(given, int | float | str) and not isinstance(given, bool)
        shift = float(str(given)) if is_stated else math.nan
    except ValueError:
        shift = math.nan
    if not abs(shift) <= MOST_SHIFT_MS:
        raise _wrong(where, f"{SHIFT} of {session} must be a number within {MOST_SHIFT_MS:,.0f} ms, not {given!r}")
    return session, shift


def _wrong(where: str, why: str) -> SettingsError:
    return SettingsError("A line of a file of shifts cannot be used", where=where, why=why, do="mend the line")
