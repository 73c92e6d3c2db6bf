"""The audio inventory: every file that a manifest names, where it was found, what its header says, what its lack costs.

Headers are read once and remembered by root, path, size and mtime. A root that is not there is reported once; a root
that vanishes while it is read is an error about that root.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from beatsight_core.audio.decoding.polarity import CANCELLED
from beatsight_core.audio.digests import DigestMemory, FileState
from beatsight_core.audio.file_search import FoundFile, SourceSearch, search_source
from beatsight_core.audio.inventory_figures import (
    INVENTORY,
    INVENTORY_FILES,
    AudioFigures,
    HiddenFile,
    LostFile,
    NotedFile,
    SourceAudio,
)
from beatsight_core.audio.roots import (
    RootStatus,
    Status,
    holds_anything,
    mounted_roots,
    require_root,
)
from beatsight_core.audio.same_content import copied_files
from beatsight_core.audio.slicing import Window
from beatsight_core.errors import DatasetError
from beatsight_core.files import atomic_path, read_json, storage_errors, write_json
from beatsight_core.leftovers import remove_leftovers
from beatsight_core.manifest.read_manifest import Catalog
from beatsight_core.progress import Progress, SilentProgress
from beatsight_core.safe_text import for_shell
from beatsight_core.settings import Settings
from beatsight_core.typed_json import JsonObject, to_json

LISTED_FILES = 50
"""Files that cost events, named per source set in summaries; the table has all."""

PAST_END = "past_end"
"""What a summary calls a file that is all right, but shorter than some of its events."""

_FILE = ["source_set", "audio_path"]
_FOUND: dict[str, type[pl.DataType]] = {
    "source_set": pl.String, "audio_path": pl.String, "status": pl.String, "message": pl.String, "root": pl.String,
    "sample_rate": pl.Int32, "channels": pl.Int32, "frames": pl.Int64, "promised": pl.Int64, "subtype": pl.String,
    "size": pl.Int64, "mtime_ns": pl.Int64, "digest": pl.String, "spelt": pl.String, "hidden_root": pl.String,
}  # fmt: skip
_COUNTS = ["onset_end", "events", "hits", "events_past_end", "hits_past_end"]
_LATER = {"promised": pl.lit(None, pl.Int64), "spelt": pl.lit(None, pl.String), "hidden_root": pl.lit(None, pl.String),
          "onset_end": pl.col("frames")}  # fmt: skip
"""Columns that inventories of earlier versions lack, and what stands in for them."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """The audio of a manifest: each file, where it was found, and what its header says.

    Attributes:
        key: Key of the manifest.
        files: Table of files, ordered by source_set and audio_path: source_set, audio_path, status, message, root,
            sample_rate, channels, frames, promised (frames that there should be, where some are missing), subtype,
            size, mtime_ns, digest (null until the file was read whole), spelt (the path as the drive has it, where that
            is in another Unicode form), hidden_root (a later root with another file of this path), onset_end (the first
            frame at which a hit gets no clip), events, hits, events_past_end, hits_past_end.
        roots: Roots of every source set of the manifest.
        expected_rates_hz: Source set -> the rate its files should have, where settings say.
    """

    key: str
    files: pl.DataFrame
    roots: tuple[RootStatus, ...]
    expected_rates_hz: Mapping[str, int]

    def of_source(self, source_set: str) -> pl.DataFrame:
        """Return the rows of one source set."""
        return self.files.filter(pl.col("source_set") == source_set)

    def unmounted(self, source_set: str) -> tuple[Path, ...]:
        """Return the roots of a source set if none of them is mounted, else nothing."""
        mine = [status for status in self.roots if status.source_set == source_set]
        return () if any(status.mounted for status in mine) else tuple(status.root for status in mine)

    def figures(self) -> AudioFigures:
        """Return totals, and the same per source set. Unsafe files count as missing, too."""
        names = self.files["source_set"].unique().sort()
        return AudioFigures(
            **_totals(self.files),
            key=self.key,
            by_source={name: self._source_figures(name) for name in names},
            lost_files=_lost(self.files),
            noted_files=_noted(self.files),
            hidden_files=_hidden(self.files),
            duplicates=copied_files(self.files),
            roots=self.roots,
        )

    def to_json(self) -> JsonObject:
        """Return the figures as `inventory.json` holds them."""
        return to_json(self.figures())

    def _source_figures(self, name: str) -> SourceAudio:
        files = self.of_source(name)
        ok = files.filter(pl.col("status") == Status.OK)
        expected = self.expected_rates_hz.get(name)
        return SourceAudio(
            **_totals(files),
            found_by_root=_count_by(files.drop_nulls("root"), "root"),
            sample_rates=_count_by(ok, "sample_rate"),
            channels=_count_by(ok, "channels"),
            seconds=float((ok["frames"] / ok["sample_rate"]).sum()),
            expected_rate=expected,
            unexpected_rate=0 if expected is None else ok.filter(pl.col("sample_rate") != expected).height,
        )


def build_inventory(
    settings: Settings, catalog: Catalog, *, deep: bool = False, progress: Progress | None = None
) -> Inventory:
    """Look for every file of a catalog, read its header, and write the inventory beside the catalog.

    Args:
        settings: Settings that name the roots.
        catalog: Catalog of the manifest that names the files.
        deep: True to decode every file whole: finds what only decoding shows.
        progress: Receiver of the number of files looked at.

    Returns:
        The inventory; also `inventory.parquet` and `inventory.json` in the catalog's folder.

    Raises:
        AudioError: A drive failed or vanished on the way.
        StorageError: The inventory cannot be written.
    """
    for folder in (catalog.folder, settings.catalog_dir / "audio"):
        remove_leftovers(folder)
    inventory = survey_audio(settings, catalog, deep=deep, progress=progress)
    _write(inventory, catalog)
    return inventory


def _write(inventory: Inventory, catalog: Catalog) -> None:
    with atomic_path(catalog.folder / INVENTORY_FILES) as temporary:
        inventory.files.write_parquet(temporary)
    write_json(catalog.folder / INVENTORY, inventory.to_json())


def survey_audio(
    settings: Settings, catalog: Catalog, *, deep: bool = False, remember: bool = True, progress: Progress | None = None
) -> Inventory:
    """Return the inventory without writing it; without `remember` nothing at all is written."""
    named = _named_files(catalog)
    roots: list[RootStatus] = []
    found: list[FoundFile] = []
    with (progress or SilentProgress()).task("audio inventory", total=named.height, unit="files") as task:
        for name in named["source_set"].unique().sort():
            source = settings.source(name)
            statuses = mounted_roots(source)
            filled = [status.root for status in statuses if status.mounted and holds_anything(status.root)]
            paths = named.filter(pl.col("source_set") == name)["audio_path"].to_list()
            found += search_source(SourceSearch(settings, source, deep, remember, task), paths, statuses)
            roots += statuses
            for root in filled:
                require_root(root, name)
    files = _table(found).join(named, on=_FILE, how="left", maintain_order="left")
    files = _with_past_end(_with_onset_end(files, settings), catalog)
    expected = {name: rate for name in named["source_set"].unique() if (rate := _expected_rate(settings, name))}
    return Inventory(catalog.key, files, tuple(roots), expected)


def open_inventory(settings: Settings, catalog: Catalog) -> Inventory:
    """Return the inventory that was built last for a catalog, with digests of files read whole since then.

    Raises:
        DatasetError: No inventory is there, as before the first export and after the catalog was made anew, or it
            cannot be read.
    """
    if not (catalog.folder / INVENTORY).is_file():
        raise DatasetError(
            f"Catalog {catalog.key!r} has no audio inventory",
            where=catalog.folder,
            why="it was never built, or the catalog was made anew since",
            do=f"run `beatsight health {for_shell(catalog.key)}` or export: either builds it",
        )
    summary = read_json(catalog.folder / INVENTORY)
    try:
        files = pl.read_parquet(catalog.folder / INVENTORY_FILES, glob=False)
        earlier = {name: value for name, value in _LATER.items() if name not in files.columns}
        files = files.with_columns(**earlier).select(*_FOUND, *_COUNTS)
        roots = tuple(RootStatus(row["source_set"], Path(row["root"]), row["mounted"]) for row in summary["roots"])
    except (OSError, pl.exceptions.PolarsError, KeyError, TypeError) as error:
        raise DatasetError(
            "The audio inventory cannot be read", where=catalog.folder, why=str(error), do="build it again"
        ) from error
    expected = {name: rate for name in files["source_set"].unique() if (rate := _expected_rate(settings, name))}
    return Inventory(catalog.key, _with_digests(files, settings), roots, expected)


def _table(found: list[FoundFile]) -> pl.DataFrame:
    return pl.DataFrame({name: [getattr(file, name) for file in found] for name in _FOUND}, schema=_FOUND)


def _with_digests(files: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    memories = {name: DigestMemory(settings, name) for name in files["source_set"].unique()}
    states = files.select("source_set", "root", "audio_path", "size", "mtime_ns").iter_rows()
    digests = [memories[name].get(FileState(*state)) for name, *state in states]
    return files.with_columns(pl.Series("digest", digests, pl.String))


def _named_files(catalog: Catalog) -> pl.DataFrame:
    """source_set, audio_path, events, hits of every file, in order."""
    hits = pl.scan_parquet(catalog.hits_path, glob=False).group_by(_FILE).agg(pl.len().cast(pl.Int64).alias("hits"))
    events = (
        pl.scan_parquet(catalog.events_path, glob=False).group_by(_FILE).agg(pl.len().cast(pl.Int64).alias("events"))
    )
    named = events.join(hits, on=_FILE, how="left").with_columns(pl.col("hits").fill_null(0))
    with storage_errors(catalog.folder):
        return named.sort(_FILE).collect(engine="streaming")


def _with_onset_end(files: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """Add the frame from which on hits get no clip: the end, or where clips begin to reach into a missing part."""
    data = settings.dataset
    window = Window.of(data.sample_rate_hz, data.pre_ms, data.tail_ms)
    needed = -(-window.tail * pl.col("sample_rate").cast(pl.Int64) // window.rate_hz)
    missing = (pl.col("frames") - needed + 1).clip(0)
    return files.with_columns(onset_end=pl.when(pl.col("promised").is_null()).then("frames").otherwise(missing))


def _with_past_end(files: pl.DataFrame, catalog: Catalog) -> pl.DataFrame:
    """Add how many events and hits begin too late for a clip; the rounding is that of `units`."""
    readable = files.lazy().filter(pl.col("status") == Status.OK).select(*_FILE, "sample_rate", "onset_end")
    onset = (pl.col("onset_time") * pl.col("sample_rate") + 0.5).floor()
    for name, path in (("events", catalog.events_path), ("hits", catalog.hits_path)):
        onsets = pl.scan_parquet(path, glob=False).select(*_FILE, "onset_time").join(readable, on=_FILE)
        past = onsets.filter(onset >= pl.col("onset_end")).group_by(_FILE).agg(pl.len().cast(pl.Int64).alias("past"))
        files = files.join(past.collect(engine="streaming"), on=_FILE, how="left", maintain_order="left")
        files = files.with_columns(pl.col("past").fill_null(0).alias(f"{name}_past_end")).drop("past")
    return files.select(*_FOUND, *_COUNTS)


def _noted(files: pl.DataFrame) -> tuple[NotedFile, ...]:
    """Files that can be used, and of which there is something to know."""
    noted = files.filter((pl.col("status") == Status.OK) & (pl.col("message") != ""))
    listed = _head(noted).select(*_FILE, "events", "message")
    return tuple(NotedFile(*row) for row in listed.iter_rows())


def _hidden(files: pl.DataFrame) -> tuple[HiddenFile, ...]:
    """Files that hide another of the same path."""
    both = pl.format("also in {}, with other content: that of {} is used", "hidden_root", "root")
    listed = _head(files.drop_nulls("hidden_root")).select(*_FILE, "events", "root", "hidden_root", why=both)
    return tuple(HiddenFile(*row) for row in listed.iter_rows())


def _head(files: pl.DataFrame) -> pl.DataFrame:
    """Those with most events first, `LISTED_FILES` of each source set."""
    dearest = files.sort("events", *_FILE, descending=[True, False, False])
    return dearest.group_by("source_set", maintain_order=True).head(LISTED_FILES)


def _expected_rate(settings: Settings, source_set: str) -> int | None:
    return settings.source(source_set).expected_sample_rate_hz


def _missing(files: pl.DataFrame) -> pl.DataFrame:
    return files.filter(pl.col("status").is_in([Status.MISSING, Status.UNSAFE]))


def _lost(files: pl.DataFrame) -> tuple[LostFile, ...]:
    """Files that cost events, the dearest first, `LISTED_FILES` of each source set."""
    is_ok = pl.col("status") == Status.OK
    cost = files.select(
        *_FILE,
        status=pl.when(is_ok).then(pl.lit(PAST_END)).otherwise("status"),
        events=pl.when(is_ok).then("events_past_end").otherwise("events"),
        why="message",
    )
    lost = cost.filter((pl.col("status") != PAST_END) | (pl.col("events") > 0))
    listed = _head(lost).sort("events", *_FILE, descending=[True, False, False])
    return tuple(LostFile(*row) for row in listed.select(*_FILE, "status", "events", "why").iter_rows())


def _totals(files: pl.DataFrame) -> dict[str, int]:
    missing = _missing(files)
    unreadable = files.filter(pl.col("status") == Status.UNREADABLE)
    return {
        "files": files.height,
        "ok": files.filter(pl.col("status") == Status.OK).height,
        "missing": missing.height,
        "unsafe": files.filter(pl.col("status") == Status.UNSAFE).height,
        "unreadable": unreadable.height,
        "short": files.filter((pl.col("status") == Status.OK) & pl.col("promised").is_not_null()).height,
        "opposed": files.filter(pl.col("message").str.contains(CANCELLED, literal=True)).height,
        "hidden": files["hidden_root"].count(),
        "events": int(files["events"].sum()),
        "hits": int(files["hits"].sum()),
        "missing_events": int(missing["events"].sum()),
        "unreadable_events": int(unreadable["events"].sum()),
        "missing_hits": int(missing["hits"].sum()),
        "unreadable_hits": int(unreadable["hits"].sum()),
        "events_past_end": int(files["events_past_end"].sum()),
        "hits_past_end": int(files["hits_past_end"].sum()),
    }


def _count_by(files: pl.DataFrame, column: str) -> dict[str, int]:
    counted = files.group_by(column).len().sort(column)
    return {str(value): count for value, count in counted.iter_rows()}
