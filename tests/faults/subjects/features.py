"""The feature cache of a dataset."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from beatsight_core.errors import BeatSightError, DatasetError
from beatsight_core.features.cache import open_features
from beatsight_core.settings import Settings
from tests.faults.lab import MANIFEST, DamagedError, Lab, View, content
from tests.faults.subjects.catalog import prepare_catalog
from tests.faults.subjects.export import EXPORT, dataset_view

FEATURES = ["features", MANIFEST, "--device", "cpu"]


class FeaturesSubject:
    """`beatsight features`."""

    name = "features"
    workers = 1

    def arguments(self, root: Path) -> list[str]:
        return FEATURES

    def prepare(self, lab: Lab, root: Path, state: str) -> None:
        prepare_catalog(lab, root, state, EXPORT, FEATURES)
        lab.must(EXPORT, root)

    def look(self, settings: Settings) -> View:
        return {**dataset_view(settings), **features_view(settings)}

    def pieces(self, root: Path) -> list[Path]:
        return sorted((root / "features").glob("*/*.safetensors"))

    def content(self, root: Path) -> Mapping[str, str]:
        return content(root)

    def under_way(self, root: Path) -> list[Path]:
        return sorted((root / "features").glob("*/*.safetensors.tmp-*"))


def features_view(settings: Settings) -> View:
    """The features of each dataset, every byte compared with its digest; none where they do not cover it yet."""
    view: dict[str, str | None] = {}
    for folder in sorted(settings.dataset_dir.glob("takes-*")):
        try:
            features = open_features(settings, folder.name, verify=True)
        except DatasetError as error:
            if not error.what.startswith("Features cover"):
                raise DamagedError(f"features of {folder.name}: {error}") from error
            view[f"features {folder.name}"] = None
            continue
        except BeatSightError as error:
            raise DamagedError(f"features of {folder.name}: {error}") from error
        parts = [features.targets.tobytes(), *(array.tobytes() for array in features.arrays)]
        view[f"features {folder.name}"] = hashlib.sha256(b"".join(parts)).hexdigest()
    return view


SUBJECTS = [FeaturesSubject()]
