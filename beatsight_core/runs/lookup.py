"""The model that is meant: one by its role, a promoted version by its number, or a run by its id.

Roles are champion, previous and challenger (`roles`). A version's folder is
verified by its `checksums.json` each time it is found, which costs a few milliseconds. What a model's folder says of
itself (`read_info`) is read without torch.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from beatsight_core.errors import DatasetError, ModelError
from beatsight_core.features.spec import FeatureSpec
from beatsight_core.files import read_json, sha256_file
from beatsight_core.runs.records import Run, open_run
from beatsight_core.runs.roles import (
    CHALLENGER,
    CHAMPION,
    POINTER,
    ROLES,
    VERSION,
    find_challenger,
    read_pointer,
)
from beatsight_core.settings import Settings

CHECKSUMS = "checksums.json"
WEIGHTS, SAFE_WEIGHTS, ONNX = "model.pth", "model.safetensors", "model.onnx"
"""The three forms of a model."""
ABOUT, COMPONENTS, SPEC, THRESHOLDS = "config.json", "components.json", "feature_spec.json", "thresholds.json"
"""What each of them needs beside it."""


__all__ = [
    "ABOUT", "CHECKSUMS", "COMPONENTS", "ONNX", "SAFE_WEIGHTS", "SPEC", "THRESHOLDS", "VERSION", "WEIGHTS", "ModelInfo",
    "champion_version", "find_model", "listed_digests", "read_info", "verified_folder", "verified_version",
    "version_folder",
]  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class ModelInfo:
    """A model and the meaning of its answers.

    Attributes:
        name: Name of the run or version that it came from.
        architecture: Architecture of its net (see `training.net.build_net.build_model`).
        spec: Recipe of its features.
        classes: Labels in class order.
        thresholds: Thresholds (C,) from which on a component is predicted.
    """

    name: str
    architecture: str
    spec: FeatureSpec
    classes: tuple[str, ...]
    thresholds: npt.NDArray[np.float32]


def find_model(settings: Settings, name: str | None = None) -> Run | Path:
    """Return the run, or the folder of the version, that a name means.

    Args:
        settings: Settings with the folders of models and runs.
        name: Name of the model: None or "champion"; "previous", the champion before; "challenger", the run that was
            judged last and is no version; "3" or "v3" for a version; else a run's id, a beginning of one, or "latest".

    Raises:
        ModelError: There is no such model, or its files are broken.
    """
    if name is None or name in ROLES:
        return _by_role(settings, name or CHAMPION)
    number = re.fullmatch(r"v?(\d+)", name)
    if number:
        return verified_version(settings, int(number[1]))
    return open_run(settings, name)


def _by_role(settings: Settings, role: str) -> Run | Path:
    if role == CHALLENGER:
        challenger = find_challenger(settings)
        if challenger is None:
            raise ModelError(
                "There is no challenger: no run was judged that is not a version",
                where=settings.run_root,
                do="name the model: a run's id, or latest",
            )
        return challenger.run
    standing = read_pointer(settings)
    if standing is None:
        said, version = "There is no champion yet", None
    else:
        said = f"Before version {standing.version} there was no champion"
        version = standing.version if role == CHAMPION else standing.previous
    if version is None:
        where = settings.models_dir / POINTER
        raise ModelError(said, where=where, do="promote a run, or name the model: a run's id, or latest")
    return verified_version(settings, version)


def champion_version(settings: Settings) -> int | None:
    """Return the number of the champion's version, or None before the first promotion.

    Raises:
        ModelError: The pointer is broken.
    """
    standing = read_pointer(settings)
    return standing.version if standing else None


def version_folder(settings: Settings, version: int) -> Path:
    """Return the folder of a version."""
    return settings.models_dir / "versions" / str(version)


def verified_version(settings: Settings, version: int) -> Path:
    """Return the folder of a version, after all its files were found whole.

    Raises:
        ModelError: There is no such version, or a file of it is missing or altered.
    """
    folder = version_folder(settings, version)
    if not (folder / CHECKSUMS).is_file():
        raise ModelError(f"There is no version {version}", where=folder, do="list them: beatsight models")
    for name, digest in listed_digests(folder).items():
        if not (folder / name).is_file() or sha256_file(folder / name) != digest:
            raise ModelError(
                f"Version {version} is broken: {name} is missing or was altered",
                where=folder / name,
                do="restore it from a backup, or roll back: beatsight rollback",
            )
    return folder


def verified_folder(folder: Path) -> Path:
    """Return a model's folder that lies anywhere, after the files in it were found as they were written.

    A copy may leave files out; without its `checksums.json` it is taken as it is.

    Raises:
        ModelError: There is no such folder, or a file in it was altered.
    """
    if not folder.is_dir():
        why = "that is a file; a model is the folder around it" if folder.exists() else None
        raise ModelError("There is no such model folder", where=folder, why=why, do="check the path")
    listed = listed_digests(folder) if (folder / CHECKSUMS).is_file() else {}
    for name, digest in listed.items():
        if (folder / name).is_file() and sha256_file(folder / name) != digest:
            raise ModelError(f"{name} was altered after it was written", where=folder / name, do="copy it again")
    return folder


def listed_digests(folder: Path) -> dict[str, str]:
    """The digests that a model's folder lists of its files, by their names.

    Raises:
        ModelError: The list is broken.
    """
    path = folder / CHECKSUMS
    try:
        return dict(read_json(path)["sha256"])
    except (DatasetError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{CHECKSUMS} of a model is broken", where=path, why=repr(error), do="restore it, or copy it again"
        ) from error


def read_info(folder: Path) -> ModelInfo:
    """Return what a model's folder says of itself.

    Raises:
        ModelError: A file is missing or broken.
    """
    for name in (ABOUT, COMPONENTS, SPEC, THRESHOLDS):
        if not (folder / name).is_file():
            raise ModelError(
                f"A model lacks {name}", where=folder, do="copy the whole folder, or promote its run again"
            )
    try:
        about = read_json(folder / ABOUT)
        classes = tuple(read_json(folder / COMPONENTS)["components"])
        named = read_json(folder / THRESHOLDS)["thresholds"]
        return ModelInfo(
            name=_version_name(folder) or about["run_id"],
            architecture=about["model"],
            spec=FeatureSpec.from_json(read_json(folder / SPEC)["spec"]),
            classes=classes,
            thresholds=np.array([named[label] for label in classes], dtype=np.float32),
        )
    except (DatasetError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            "A model's files are broken", where=folder, why=repr(error), do="copy it again, or roll back"
        ) from error


def _version_name(folder: Path) -> str | None:
    return f"version {read_json(folder / VERSION)['version']}" if (folder / VERSION).is_file() else None
