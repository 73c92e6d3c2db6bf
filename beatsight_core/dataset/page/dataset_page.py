"""A page per dataset: what it holds in figures, and a few clips of each label to hear and see.

`reports/datasets/<key>.html` with the same figures as `.json` beside it, whose `content` says of which dataset they
are: as long as that holds, the page is not made again.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from beatsight_core.dataset.index import Index, index_paths, read_index
from beatsight_core.dataset.page.example_cards import Clip, card_groups, clips_within
from beatsight_core.dataset.page.examples import choose_examples
from beatsight_core.dataset.page.figures import SPLITS, dataset_figures, label_counts
from beatsight_core.errors import BeatSightError, DatasetError
from beatsight_core.files import digest_json, read_json, write_json, write_text
from beatsight_core.leftovers import remove_leftovers
from beatsight_core.names import place_in
from beatsight_core.pages.formats import count, duration, shown
from beatsight_core.pages.page import render_page
from beatsight_core.settings import Settings

logger = logging.getLogger("beatsight")

FORMAT = 1
"""Grows when pages look otherwise, so that they are made again."""

PER_LABEL = 4
SOUND_BYTES = 2_000_000
"""At most so many bytes of sounds and pictures; the page is a third larger than they are, and its text comes on top."""

LISTED = 200
"""Rows of shards and of files without clips."""


def write_dataset_page(settings: Settings, key: str) -> Path:
    """Write the page of a dataset, unless it is there.

    Args:
        settings: Where all is.
        key: Of the manifest.

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
        chosen = choose_examples(settings, counts, [row["label"] for row in figures["labels"]], PER_LABEL)
        write_text(page, render_dataset(figures, indexes, list(clips_within(settings, chosen, SOUND_BYTES))))
        write_json(figures_file, {"content": content, **figures})
    return page


def page_after_export(settings: Settings, key: str) -> Path | None:
    """The page of what was just exported. The export stands without it: what goes wrong here is logged, and no more."""
    try:
        return write_dataset_page(settings, key)
    except BeatSightError as error:
        logger.warning("%s has no page: %s", key, error)
        return None


def page_paths(settings: Settings, key: str) -> tuple[Path, Path]:
    """Where the page of a dataset lies, and its figures."""
    folder = settings.dataset_pages_dir
    return place_in(folder, key, ".html"), place_in(folder, key, ".json")


def render_dataset(figures: Mapping[str, Any], indexes: Sequence[Index], clips: Sequence[Clip]) -> str:
    """The page as HTML.

    Args:
        figures: From `dataset_figures`.
        indexes: Of the dataset.
        clips: Examples, each with its picture (PNG) and its sound (FLAC).
    """
    shards = [{"source_set": index.source_set, **entry.to_json()} for index in indexes for entry in index.shards]
    return render_page(
        "dataset.html",
        title=figures["key"],
        figures=figures,
        tiles=_tiles(figures),
        label_bars=[_by_split(row) for row in figures["labels"]],
        examples=card_groups(figures["labels"], clips),
        source_bars=[{"label": row["source_set"], "amounts": row["seconds_by_split"]} for row in figures["sources"]],
        source_seconds=[sum(row["seconds_by_split"].values()) for row in figures["sources"]],
        reject_bars=[{"label": reason, "value": hits} for reason, hits in figures["rejected"].items()],
        rejected_files=figures["rejected_files"][:LISTED],
        shards=shards[:LISTED],
        shard_count=len(shards),
        provenance=_provenance(figures, indexes),
    )


def _by_split(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"label": row["label"], "amounts": {split: row[split] for split in SPLITS}, "total": row["clips"]}


def _content(path: Path) -> str | None:
    try:
        found = read_json(path)
    except DatasetError:
        return None
    return found.get("content") if isinstance(found, dict) else None


def _tiles(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    totals, lost = figures["totals"], figures["totals"]["rejected"]
    labels = sum(row["clips"] > 0 for row in figures["labels"])
    return [
        {"label": "Clips", "value": count(totals["clips"]),
         "note": f"{labels} of {len(figures['labels'])} labels, {count(totals['files'])} audio files"},
        {"label": "Sound", "value": duration(totals["seconds"]), "note": _clip_text(figures["clips"].values())},
        {"label": "Hits without a clip", "value": count(lost),
         "note": f"{shown(lost / totals['hits'] if totals['hits'] else 0.0, 'share')} of {count(totals['hits'])}",
         "state": "warn" if lost else None},
        {"label": "On disk", "value": shown(totals["bytes"], "size"), "note": f"shards: {count(totals['shards'])}"},
    ]  # fmt: skip


def _clip_text(specs: Any) -> str:
    """How long clips are, if all are alike: "280 ms each, 44.1 kHz"."""
    kinds = {(spec.get("frames"), spec.get("sample_rate")) for spec in specs}
    frames, rate = next(iter(kinds)) if len(kinds) == 1 else (None, None)
    return f"{duration(frames / rate)} each, {rate / 1000:g} kHz" if frames and rate else "of various lengths"


def _provenance(figures: Mapping[str, Any], indexes: Sequence[Index]) -> list[dict[str, Any]]:
    rows = [("manifest", figures["key"]), ("dataset digest", figures["digest"])]
    for index in indexes:
        taxonomy = index.settings.get("taxonomy", {})
        made = {name: value for name, value in index.settings.items() if name != "taxonomy"}
        rows += [
            (f"{index.source_set}: digest", index.digest),
            (f"{index.source_set}: inputs", index.inputs),
            (f"{index.source_set}: clips", ", ".join(f"{name} {value}" for name, value in made.items())),
            (f"{index.source_set}: labels", f"{taxonomy.get('name')} {taxonomy.get('version')}"),
        ]
    return [{"name": name, "value": value} for name, value in rows]
