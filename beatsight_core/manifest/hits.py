"""From events to hits: events of one file close together become one hit, whose label is the SET of their components.

Within a file events are taken in the order of onset and event id. A hit begins with the first event that is left and
takes all that follow at most the window after that FIRST onset; then the next hit begins. Onsets are compared in whole
microseconds. Nothing depends on the order of lines or on how events are cut into tables, as long as a file's events are
in one table.

A hit of negative examples has an empty label set: such an event says that its components are not played here. It
teaches silence, and adds no label to a hit that it falls into.
"""

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from beatsight_core.manifest.catalog_counts import dictionary_parts
from beatsight_core.manifest.events import HIT_SCHEMA
from beatsight_core.manifest.parsing.arrays import compact_dictionary, dictionary_array, nullable_floats, offsets_of
from beatsight_core.settings import COALESCE_MS
from beatsight_core.taxonomy import Taxonomy

HIT_ID_HEX = 20
"""Hex digits kept of a hit's digest: 80 bits."""

EVENT_COLUMNS = (
    "event_id", "session_id", "source_set", "audio_path", "onset_time", "labels", "velocities", "openness",
    "techniques", "is_synthetic", "negative_example", "drummer_id", "kit_id", "room_id", "licence", "bleed_level",
    "mix_context",
)  # fmt: skip
"""What hits are made from."""

_DESCRIPTIONS = ("drummer_id", "kit_id", "room_id", "bleed_level", "mix_context")
_NEVER = np.iinfo(np.int64).max

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class HitRules:
    """The rules of settings by which events become hits; picklable.

    Attributes:
        taxonomy: Taxonomy that gives the class order.
        windows_ms: Source set -> coalescing window.
        licences: Source set -> licence of events that state none.
        window_ms: Window of other source sets.
        licence: Licence of other source sets.
    """

    taxonomy: Taxonomy
    windows_ms: Mapping[str, float]
    licences: Mapping[str, str]
    window_ms: float = COALESCE_MS
    licence: str = "unknown"


def coalesce(events: pa.Table, rules: HitRules) -> pa.Table:
    """Make hits of events.

    Args:
        events: Table with the columns `EVENT_COLUMNS`, in any order of rows; it has all events of each file that
            occurs.
        rules: Windows, licences and class order.

    Returns:
        The columns of `HIT_SCHEMA` save `split` and `split_group`, ordered by source set, audio path and onset; columns
        of few values are dictionaries.
    """
    if not events.num_rows:
        return _typed({name: pa.array([], HIT_SCHEMA.field(name).type) for name in _hit_columns()})
    table = _sorted(events)
    sources, source_names = dictionary_parts(table["source_set"])
    files = _file_numbers(table)
    onsets = table["onset_time"].to_numpy()
    windows = np.array([_microseconds(rules.windows_ms.get(name, rules.window_ms) / 1e3) for name in source_names])
    starts = first_events(files, _microseconds(onsets), windows[sources])
    columns = _event_fields(table, starts)
    columns |= {name: _first_stated(table[name], starts) for name in _DESCRIPTIONS}
    columns |= _strokes(table, starts, rules.taxonomy)
    columns["techniques"] = _techniques(table["techniques"], starts)
    columns["licence"] = _licences(_first_stated(table["licence"], starts), columns["source_set"], rules)
    columns["previous_gap"], columns["next_gap"] = _gaps(files[starts], onsets[starts])
    return _typed(columns)


def first_events(files: Ints, times_us: Ints, windows_us: Ints) -> Ints:
    """Return the positions of the events that begin a hit.

    Args:
        files: Array (n,) of a number per file, ascending.
        times_us: Array (n,) of onsets, ascending within a file.
        windows_us: Array (n,) of the window that applies to each event, equal within a file.
    """
    count = len(files)
    begins = np.ones(count, bool)
    begins[1:] = (files[1:] != files[:-1]) | (np.diff(times_us) > windows_us[1:])
    # A run without a gap wider than the window is one hit, unless it is longer than the window as a whole.
    runs = np.flatnonzero(begins)
    ends = np.append(runs[1:], count)
    long = np.flatnonzero(times_us[ends - 1] - times_us[runs] > windows_us[runs])
    for run, end in zip(runs[long].tolist(), ends[long].tolist(), strict=True):
        times = times_us[run:end]
        following = times.searchsorted(times + windows_us[run], side="right").tolist()
        place = following[0]
        while place < end - run:
            begins[run + place] = True
            place = following[place]
    return np.flatnonzero(begins)


def _sorted(events: pa.Table) -> dict[str, pa.Array]:
    """The columns as single arrays, rows ordered by file, onset and event id."""
    events = events.select(EVENT_COLUMNS).unify_dictionaries().combine_chunks()
    sources = _ranks(events["source_set"])
    paths = _ranks(events["audio_path"])
    onsets = events["onset_time"].to_numpy()
    order = np.lexsort((onsets, paths, sources))
    same = np.zeros(len(order), bool)
    for keys in (sources, paths, onsets):
        ordered = keys[order]
        equal = ordered[1:] == ordered[:-1]
        same[1:] = equal if keys is sources else same[1:] & equal
    if same.any():
        _order_ties(order, same, events["event_id"])
    return {name: _single(events[name].take(pa.array(order))) for name in EVENT_COLUMNS}


def _order_ties(order: Ints, same: npt.NDArray[np.bool_], ids: pa.ChunkedArray) -> None:
    """Order events of one file and onset by id, in place."""
    tied = same.copy()
    tied[:-1] |= same[1:]
    places = np.flatnonzero(tied)
    groups = np.cumsum(~same)[places]
    texts = pl.Series("id", _single(ids.take(pa.array(order[places]))))
    ties = pl.DataFrame([pl.Series("group", groups), texts, pl.Series("row", order[places])]).sort("group", "id")
    order[places] = ties["row"].to_numpy()


def _event_fields(table: dict[str, pa.Array], starts: Ints) -> dict[str, pa.Array]:
    """What a hit takes from its first event, and its identity."""
    ids = _ids_by_hit(table["event_id"], starts)
    synthetic = np.logical_or.reduceat(table["is_synthetic"].to_numpy(zero_copy_only=False), starts)
    names = ("session_id", "source_set", "audio_path")
    return {
        "hit_id": _digests(pc.binary_join(ids, "\n")),
        "event_ids": ids,
        "onset_time": table["onset_time"].take(pa.array(starts)),
        "is_synthetic": pa.array(synthetic),
        **{name: _first_stated(table[name], starts) for name in names},
    }


def _ids_by_hit(ids: pa.Array, starts: Ints) -> pa.ListArray:
    """Event ids of each hit, sorted."""
    offsets = np.append(starts, len(ids))
    counts = np.diff(offsets)
    rows = np.flatnonzero(np.repeat(counts > 1, counts))
    if len(rows):
        hits = _hit_of_events(starts, len(ids))[rows]
        texts = pl.Series("id", ids.take(pa.array(rows)))
        order = np.arange(len(ids))
        order[rows] = pl.DataFrame([pl.Series("hit", hits), texts, pl.Series("row", rows)]).sort("hit", "id")["row"]
        ids = ids.take(pa.array(order))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), ids)


def _digests(texts: pa.StringArray) -> pa.StringArray:
    """The names of hits, from their joined event ids."""
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1].tolist()
    raw, sha256, half = memoryview(data), hashlib.sha256, HIT_ID_HEX // 2
    names = b"".join([sha256(raw[start:end]).digest()[:half] for start, end in itertools.pairwise(bounds)]).hex()
    ends = np.arange(0, len(names) + 1, HIT_ID_HEX, dtype=np.int32)
    return pa.StringArray.from_buffers(len(texts), pa.py_buffer(ends), pa.py_buffer(names.encode()))


def _strokes(table: dict[str, pa.Array], starts: Ints, taxonomy: Taxonomy) -> dict[str, pa.Array]:
    """Labels in class order, each once, with the loudest stroke's velocity and openness."""
    counts = np.diff(table["labels"].offsets.to_numpy())
    struck = np.repeat(~table["negative_example"].to_numpy(zero_copy_only=False), counts)
    hits = np.repeat(_hit_of_events(starts, len(counts)), counts)
    codes, names = dictionary_parts(table["labels"].flatten())
    classes = np.array([taxonomy.index[name] for name in names], np.int64)[codes]
    velocities, openness = (_floats(table[name].flatten()) for name in ("velocities", "openness"))
    keys = (hits * len(taxonomy.components) + classes)[struck]
    order = np.argsort(keys, kind="stable")
    keys, velocities, openness = keys[order], velocities[struck][order], openness[struck][order]
    firsts = np.flatnonzero(np.diff(keys, prepend=-1) != 0)
    hit_of, class_of = np.divmod(keys[firsts], len(taxonomy.components))
    offsets = pa.array(offsets_of(np.bincount(hit_of, minlength=len(starts))), pa.int32())
    loudest = _loudest(velocities, openness, firsts)
    return {
        "labels": pa.ListArray.from_arrays(offsets, dictionary_array(class_of.astype(np.int32), taxonomy.components)),
        "velocities": pa.ListArray.from_arrays(offsets, nullable_floats(loudest[0])),
        "openness": pa.ListArray.from_arrays(offsets, nullable_floats(loudest[1])),
    }


def _loudest(velocities: Floats, openness: Floats, firsts: Ints) -> tuple[Floats, Floats]:
    """Of each run of strokes: the highest velocity, and the openness of the loudest stroke that states one."""
    if len(firsts) == len(velocities):
        return velocities, openness
    loudness = np.fmax.reduceat(velocities, firsts)
    ranks = np.where(np.isnan(openness), -2.0, np.where(np.isnan(velocities), -1.0, velocities))
    runs = np.repeat(np.arange(len(firsts)), np.diff(np.append(firsts, len(velocities))))
    best = ranks == np.maximum.reduceat(ranks, firsts)[runs]
    chosen = np.minimum.reduceat(np.where(best, np.arange(len(velocities)), _NEVER), firsts)
    return loudness, openness[chosen]


def _techniques(lists: pa.ListArray, starts: Ints) -> pa.ListArray:
    """The techniques of each hit, sorted, each once."""
    counts = np.diff(lists.offsets.to_numpy())
    codes, names = dictionary_parts(lists.flatten())
    order = sorted(range(len(names)), key=names.__getitem__)
    ranks = np.empty(len(names), np.int64)
    ranks[order] = np.arange(len(names))
    hits = np.repeat(_hit_of_events(starts, len(counts)), counts)
    keys = np.sort(hits * max(len(names), 1) + ranks[codes], kind="stable")
    hit_of, rank_of = np.divmod(keys[np.diff(keys, prepend=-1) != 0], max(len(names), 1))
    offsets = pa.array(offsets_of(np.bincount(hit_of, minlength=len(starts))), pa.int32())
    return pa.ListArray.from_arrays(
        offsets, dictionary_array(rank_of.astype(np.int32), [names[place] for place in order])
    )


def _first_stated(column: pa.Array, starts: Ints) -> pa.DictionaryArray:
    """Of each hit, the value of its first event that states one."""
    codes, values = dictionary_parts(column)
    found = codes[starts]
    if values and (found < 0).any():
        stated = np.minimum.reduceat(np.where(codes >= 0, np.arange(len(codes)), _NEVER), starts)
        found = np.append(codes, -1)[np.minimum(stated, len(codes))]
    return compact_dictionary(found, values)


def _licences(stated: pa.DictionaryArray, sources: pa.Array, rules: HitRules) -> pa.DictionaryArray:
    """The licence that events state, else their source set's."""
    codes, values = dictionary_parts(stated)
    places, names = dictionary_parts(sources)
    defaults = [rules.licences.get(name, rules.licence) for name in names]
    filled = np.where(codes >= 0, codes, len(values) + places)
    table = [*values, *defaults]
    index = {name: place for place, name in enumerate(dict.fromkeys(table))}
    unified = np.array([index[name] for name in table], np.int32)[filled]
    return compact_dictionary(unified, list(index))


def _gaps(files: Ints, onsets: Floats) -> tuple[pa.Array, pa.Array]:
    """Seconds to the hit before and to the hit after in the same file."""
    between = np.where(files[1:] == files[:-1], np.diff(onsets), np.nan)
    before, after = np.append(np.nan, between), np.append(between, np.nan)
    return pa.array(before, mask=np.isnan(before)), pa.array(after, mask=np.isnan(after))


def _file_numbers(table: dict[str, pa.Array]) -> Ints:
    """A number per file in the order of rows."""
    changes = np.zeros(len(table["source_set"]), bool)
    for name in ("source_set", "audio_path"):
        codes, _ = dictionary_parts(table[name])
        changes[1:] |= codes[1:] != codes[:-1]
    return np.cumsum(changes)


def _ranks(column: pa.ChunkedArray) -> Ints:
    """The place of each value among the sorted values."""
    codes, values = dictionary_parts(_single(column))
    ranks = np.empty(len(values), np.int64)
    ranks[sorted(range(len(values)), key=values.__getitem__)] = np.arange(len(values))
    return ranks[codes]


def _hit_of_events(starts: Ints, count: int) -> Ints:
    """The number of the hit that each of `count` events belongs to."""
    return np.repeat(np.arange(len(starts)), np.diff(np.append(starts, count)))


def _single(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def _microseconds(seconds: float | Floats) -> Ints:
    """The nearest microsecond, half of one rounding up."""
    rounded: Ints = np.floor(np.asarray(seconds) * 1e6 + 0.5).astype(np.int64)
    return rounded


def _floats(column: pa.Array) -> Floats:
    return np.asarray(pc.fill_null(column, float("nan")).to_numpy(zero_copy_only=False), np.float64)


def _hit_columns() -> list[str]:
    return [name for name in HIT_SCHEMA.names if name not in ("split", "split_group")]


def _typed(columns: dict[str, pa.Array]) -> pa.Table:
    return pa.table([columns[name] for name in _hit_columns()], names=_hit_columns())
