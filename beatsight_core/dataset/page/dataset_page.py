"""A page per dataset: what it holds in figures, and a few clips of each label to hear and see.

`reports/datasets/<key>.html` with the same figures as `.json` beside it, whose `content` says of which dataset they
are: as long as that holds, the page is not made again. An export from a terminal does not make the page, which takes
half a second; `dataset show --html` and the asset do.
"""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from beatsight_core.dataset.index import Index, index_paths, read_index
from beatsight_core.dataset.page.example_cards import ExampleClip, card_groups, clips_within
from beatsight_core.dataset.page.examples import choose_examples
from beatsight_core.dataset.page.figures import DatasetFigures, LabelFigures, dataset_figures, label_counts
from beatsight_core.errors import BeatSightError, DatasetError
from beatsight_core.files import digest_json, read_json, write_json, write_text
from beatsight_core.leftovers import remove_leftovers
from beatsight_core.names import place_in
from beatsight_core.pages.formats import count, duration, shown
from beatsight_core.pages.page import render_page
from beatsight_core.settings import Settings
from beatsight_core.typed_json import JsonObject, to_json

logger = logging.getLogger("beatsight")

FORMAT = 1
"""Grows when pages look otherwise, so that they are made again."""

PER_LABEL = 4
SOUND_BYTES = 2_000_000
"""Most bytes of sounds and spectrograms; the page is a third larger than they are, and its text comes on top."""

LISTED = 200
"""Rows of shards and of files without clips."""


def write_dataset_page(settings: Settings, key: str) -> Path:
    """Write the page of a dataset, unless it is there.

    Args:
        settings: Layout of the data root.
        key: Key of the manifest.

    Returns:
        The page's path.

    Raises:
        DatasetError: Nothing was exported, or an index or a shard cannot be read.
        StorageError: The page cannot be written.
    """
    indexes = [read_index(path) for path in index_paths(settings, key)]
    if not indexes:
        raise DatasetError(f"There is no dataset of {key}", where=settings.dataset_dir, do="export it first")
    content = digest_json([FORMAT, *(index.to_json() for index in indexes)])
    page, figures_file = page_paths(settings, key)
    if not (page.exists() and _content(figures_file) == content):
        remove_leftovers(page.parent)
        counts = label_counts(settings, indexes)
        figures = dataset_figures(key, indexes, counts)
        chosen = choose_examples(settings, counts, [row.label for row in figures.labels], PER_LABEL)
        write_text(page, render_dataset(figures, indexes, list(clips_within(settings, chosen, SOUND_BYTES))))
        write_json(figures_file, {"content": content, **to_json(figures)})
    return page


def page_after_export(settings: Settings, key: str) -> Path | None:
    """Write the page of what was just exported. The export stands without it: a failure here is logged, and no more."""
    try:
        return write_dataset_page(settings, key)
    except BeatSightError as error:
        logger.warning("%s has no page: %s", key, error)
        return None


def page_paths(settings: Settings, key: str) -> tuple[Path, Path]:
    """Return the path of a dataset's page, and that of its figures."""
    folder = settings.dataset_pages_dir
    return place_in(folder, key, ".html"), place_in(folder, key, ".json")


def render_dataset(figures: DatasetFigures, indexes: Sequence[Index], clips: Sequence[ExampleClip]) -> str:
    """Return the page as HTML.

    Args:
        figures: Figures from `dataset_figures`.
        indexes: Indexes of the dataset.
        clips: Examples, each with its spectrogram (PNG) and its sound (FLAC).
    """
    shards = [{"source_set": index.source_set, **to_json(entry)} for index in indexes for entry in index.shards]
    written = to_json(figures)
    return render_page(
        "dataset.html",
        title=figures.key,
        figures=written,
        tiles=_tiles(figures),
        label_bars=[_by_split(row) for row in figures.labels],
        examples=card_groups(figures.labels, clips),
        source_bars=[{"label": row.source_set, "amounts": row.seconds_by_split} for row in figures.sources],
        source_seconds=[sum(row.seconds_by_split.values()) for row in figures.sources],
        reject_bars=[{"label": reason, "value": hits} for reason, hits in figures.rejected.items()],
        rejected_files=[to_json(lost) for lost in figures.rejected_files[:LISTED]],
        shards=shards[:LISTED],
        shard_count=len(shards),
        provenance=_provenance(figures, indexes),
    )


def _by_split(row: LabelFigures) -> JsonObject:
    amounts: JsonObject = {"train": row.train, "val": row.val, "calibration": row.calibration}
    return {"label": row.label, "amounts": amounts, "total": row.clips}


def _content(path: Path) -> str | None:
    try:
        found = read_json(path)
    except DatasetError:
        return None
    return found.get("content") if isinstance(found, dict) else None


def _tiles(figures: DatasetFigures) -> list[JsonObject]:
    totals, lost = figures.totals, figures.totals.rejected
    labels = sum(row.clips > 0 for row in figures.labels)
    return [
        {"label": "Clips", "value": count(totals.clips),
         "note": f"{labels} of {len(figures.labels)} labels, {count(totals.files)} audio files"},
        {"label": "Sound", "value": duration(totals.seconds), "note": _clip_text(figures.clips.values())},
        {"label": "Hits without a clip", "value": count(lost),
         "note": f"{shown(lost / totals.hits if totals.hits else 0.0, 'share')} of {count(totals.hits)}",
         "state": "warn" if lost else None},
        {"label": "On disk", "value": shown(totals.bytes, "size"), "note": f"shards: {count(totals.shards)}"},
    ]  # fmt: skip


def _clip_text(specs: Iterable[JsonObject]) -> str:
    """How long clips are, if all are alike: "280 ms each, 44.1 kHz"."""
    kinds = {(_number(spec, "frames"), _number(spec, "sample_rate")) for spec in specs}
    frames, rate = next(iter(kinds)) if len(kinds) == 1 else (0.0, 0.0)
    return f"{duration(frames / rate)} each, {rate / 1000:g} kHz" if frames and rate else "of various lengths"


def _number(spec: JsonObject, name: str) -> float:
    value = spec.get(name)
    return float(value) if isinstance(value, int | float) else 0.0


def _provenance(figures: DatasetFigures, indexes: Sequence[Index]) -> list[JsonObject]:
    rows = [("manifest", figures.key), ("dataset digest", figures.digest)]
    for index in indexes:
        made = {name: value for name, value in index.settings.items() if name != "taxonomy"}
        rows += [
            (f"{index.source_set}: digest", index.digest),
            (f"{index.source_set}: inputs", index.inputs),
            (f"{index.source_set}: clips", ", ".join(f"{name} {value}" for name, value in made.items())),
            (f"{index.source_set}: labels", f"{index.taxonomy.get('name')} {index.taxonomy.get('version')}"),
        ]
    return [{"name": name, "value": value} for name, value in rows]
