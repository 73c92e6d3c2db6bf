"""The index of a dataset: which shards make up a source set of a manifest. Written last and at once: it is the commit.

`digest` says what the dataset holds, whoever made it and whatever the manifest's name; `seal` covers every value of the
file, so that a damaged index is found.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from beatsight_core.errors import DatasetError
from beatsight_core.files import digest_json, read_json, write_json
from beatsight_core.manifest.identity import manifest_key, resolve_manifest
from beatsight_core.names import place_in
from beatsight_core.settings import Settings

INDEX_FORMAT = 1


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """A shard as an index lists it.

    Attributes:
        digest: Its name.
        rows: Clips.
        bytes: Its size.
        files: Audio files it was made from.
        sha256: Of the whole file.
    """

    digest: str
    rows: int
    bytes: int
    files: int
    sha256: str

    def to_json(self) -> dict[str, Any]:
        """As the index holds it."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Index:
    """A source set of a dataset.

    Attributes:
        manifest: Key of the manifest.
        source_set: Its name.
        settings: What determines clips (`ClipSpec.to_json`).
        inputs: Digest of the catalog and the settings it was made from.
        shards: In the order of the hits.
        counts: hits, clips, files, and clips per split.
        rejected: Reason -> hits without a clip.
        rejected_files: audio_path, reason, hits, message of each file that lost hits.
        seconds_by_split: Split -> seconds of clips.
    """

    manifest: str
    source_set: str
    settings: dict[str, Any]
    inputs: str
    shards: tuple[ShardEntry, ...]
    counts: dict[str, Any]
    rejected: dict[str, int]
    rejected_files: tuple[dict[str, Any], ...] = ()
    seconds_by_split: dict[str, float] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """What this source set holds, by the names of its shards."""
        return digest_json([self.source_set, self.settings, [shard.digest for shard in self.shards]])

    @property
    def bytes(self) -> int:
        """Bytes of all shards."""
        return sum(shard.bytes for shard in self.shards)

    def to_json(self) -> dict[str, Any]:
        """As the file holds it."""
        body = {
            "format": INDEX_FORMAT,
            "manifest": self.manifest,
            "source_set": self.source_set,
            "settings": self.settings,
            "inputs": self.inputs,
            "digest": self.digest,
            "shards": [shard.to_json() for shard in self.shards],
            "counts": self.counts,
            "rejected": self.rejected,
            "rejected_files": list(self.rejected_files),
            "seconds_by_split": self.seconds_by_split,
        }
        return body | {"seal": digest_json(body)}


def dataset_key(settings: Settings, ref: str | Path) -> str:
    """The manifest key that a reference stands for: a known key as it is, a path or name by the file's content."""
    text = str(ref)
    if indexes_folder(settings, text).is_dir() and text != settings.shards_dir.name:
        return text
    return manifest_key(resolve_manifest(settings, ref))


def indexes_folder(settings: Settings, key: str) -> Path:
    """Where the indexes of a manifest lie."""
    return place_in(settings.dataset_dir, key)


def index_path(settings: Settings, key: str, source_set: str) -> Path:
    """Where the index of a source set lies."""
    return place_in(indexes_folder(settings, key), source_set, ".json")


def index_paths(settings: Settings, key: str) -> list[Path]:
    """The indexes of a manifest that are there, by name."""
    return index_files(indexes_folder(settings, key))


def index_files(folder: Path) -> list[Path]:
    """The indexes in a folder, by name. Hidden files are none: some systems put one beside every file."""
    return sorted(path for path in folder.glob("*.json") if not path.name.startswith("."))


def commit_index(settings: Settings, index: Index) -> Path:
    """Write an index in place of the last one, if it differs. Returns its path.

    Raises:
        StorageError: The drive is full, read-only, or gone; the last one then stays.
    """
    path = index_path(settings, index.manifest, index.source_set)
    try:
        unchanged = read_index(path) == index
    except DatasetError:
        unchanged = False
    if not unchanged:
        write_json(path, index.to_json())
    return path


def read_index(path: Path) -> Index:
    """Read an index.

    Raises:
        DatasetError: It is missing, damaged, or of another format.
    """
    body = read_json(path)
    try:
        seal = body.pop("seal")
        if body["format"] != INDEX_FORMAT:
            raise DatasetError(
                f"A dataset index has format {body['format']}, not {INDEX_FORMAT}", where=path, do="export again"
            )
        shards = tuple(ShardEntry(**entry) for entry in body["shards"])
        names = ("manifest", "source_set", "settings", "inputs", "counts", "rejected", "seconds_by_split")
        fields = {name: body[name] for name in names}
        index = Index(**fields, shards=shards, rejected_files=tuple(body["rejected_files"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise DatasetError("A dataset index is not complete", where=path, why=repr(error), do="export again") from error
    if seal != digest_json(body) or index.digest != body["digest"]:
        raise DatasetError("A dataset index is damaged: its seal does not match", where=path, do="export again")
    return index


def dataset_digest(indexes: Iterable[Index]) -> str:
    """What a dataset of several source sets holds."""
    return digest_json({index.source_set: index.digest for index in indexes})
