"""A run needs hits to learn from and hits to validate with: where a split has none, the dataset's index tells why."""

from collections import Counter
from collections.abc import Mapping

from beatsight_core.dataset.index import index_paths, read_index
from beatsight_core.errors import DatasetError
from beatsight_core.features.cache import Features
from beatsight_core.files import read_json
from beatsight_core.manifest.identity import SUMMARY
from beatsight_core.settings import Settings

NEEDED = ("train", "val")


def require_filled_splits(settings: Settings, key: str, features: Features) -> None:
    """Make sure that there are hits to train on and to validate with.

    Args:
        settings: Settings with the folder of the dataset.
        key: Key of the manifest.
        features: Features of its dataset.

    Raises:
        DatasetError: A split has no hit; says what became of those that it should have.
    """
    for split in NEEDED:
        if not len(features.rows_of(split)):
            raise DatasetError(
                f"The dataset has no hits in split {split}",
                where=key,
                why=_why_empty(settings, key, split, features),
                do="mend what lost them and export again, add sessions, or change dataset.val_ratio",
            )


def _why_empty(settings: Settings, key: str, split: str, features: Features) -> str:
    asked = _hits_by_split(settings, key).get(split)
    if asked == 0:
        return f"the manifest has none: no session of it falls into {split}"
    lost: Counter[str] = Counter()
    for path in index_paths(settings, key):
        lost.update(read_index(path).rejected)
    reasons = ", ".join(f"{reason} {hits:,}" for reason, hits in lost.most_common() if hits)
    of = f" of the {asked:,} that the manifest has" if asked else ""
    told = f"; lost at the export: {reasons}" if reasons else ""
    return f"not one{of} became a clip{told}; the dataset holds {len(features):,} clips in all"


def _hits_by_split(settings: Settings, key: str) -> Mapping[str, int]:
    """Return the hits of each split as the catalog counted them; empty if it is gone."""
    path = settings.catalog_folder(key) / SUMMARY
    found = read_json(path).get("hits_by_split") if path.is_file() else None
    return found if isinstance(found, dict) else {}
