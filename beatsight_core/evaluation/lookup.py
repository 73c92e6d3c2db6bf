"""Which model is meant: the champion, a promoted version by its number, or a run by its id.

`models/champion.json` is the one pointer to the champion; the room `promotion` writes it. A version's folder is
verified by its `checksums.json` each time it is found, which costs a few milliseconds.
"""

import re
from pathlib import Path

from beatsight_core.errors import ModelError
from beatsight_core.files import read_json, sha256_file
from beatsight_core.settings import Settings
from beatsight_core.training.records import Run, open_run

POINTER = "champion.json"
CHECKSUMS, VERSION = "checksums.json", "version.json"
WEIGHTS, ABOUT, COMPONENTS, SPEC, THRESHOLDS = (
    "model.pth",
    "config.json",
    "components.json",
    "feature_spec.json",
    "thresholds.json",
)
"""The files of a version that a predictor needs."""


def find_model(settings: Settings, name: str | None = None) -> Run | Path:
    """The run, or the folder of the version, that a name means.

    Args:
        settings: Say where models and runs lie.
        name: None or "champion"; "3" or "v3" for a version; else a run's id, a beginning of one, or "latest".

    Raises:
        ModelError: There is no such model, or its files are broken.
    """
    if name is None or name == "champion":
        version = champion_version(settings)
        if version is None:
            raise ModelError(
                "There is no champion yet",
                where=settings.models_dir / POINTER,
                do="promote a run, or name one: --model RUN",
            )
        return verified_version(settings, version)
    number = re.fullmatch(r"v?(\d+)", name)
    if number:
        return verified_version(settings, int(number[1]))
    return open_run(settings, name)


def champion_version(settings: Settings) -> int | None:
    """The number of the champion's version, or None before the first promotion."""
    path = settings.models_dir / POINTER
    return int(read_json(path)["version"]) if path.is_file() else None


def version_folder(settings: Settings, version: int) -> Path:
    """Where a version lies."""
    return settings.models_dir / "versions" / str(version)


def verified_version(settings: Settings, version: int) -> Path:
    """The folder of a version, after all its files were found whole.

    Raises:
        ModelError: There is no such version, or a file of it is missing or altered.
    """
    folder = version_folder(settings, version)
    if not (folder / CHECKSUMS).is_file():
        raise ModelError(f"There is no version {version}", where=folder, do="list them: beatsight models")
    for name, digest in read_json(folder / CHECKSUMS)["sha256"].items():
        if not (folder / name).is_file() or sha256_file(folder / name) != digest:
            raise ModelError(
                f"Version {version} is broken: {name} is missing or was altered",
                where=folder / name,
                do="restore it from a backup, or roll back: beatsight rollback",
            )
    return folder
