"""The index of a dataset: which shards make up a source set of a manifest. Written last and at once: it is the commit.

`digest` says what the dataset holds, whoever made it and whatever the manifest's name; `seal` covers every value of the
file, so that a damaged index is found.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from beatsight_core.errors import DatasetError
from beatsight_core.files import digest_json, read_json, write_json
from beatsight_core.manifest.identity import manifest_key, resolve_manifest
from beatsight_core.names import place_in
from beatsight_core.settings import Settings
from beatsight_core.typed_json import JsonObject, to_json

INDEX_FORMAT = 1


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """A shard as an index lists it.

    Attributes:
        digest: Name of the shard.
        rows: Number of clips.
        bytes: Size of the file.
        files: Number of audio files that it was made from.
        sha256: Checksum of the whole file.
    """

    digest: str
    rows: int
    bytes: int
    files: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """Hits of a file that got no clip.

    Attributes:
        audio_path: Path of the file as the manifest names it.
        reason: Reason, one of `write_shard.REASONS`.
        hits: Number of hits.
        events: Number of events in these hits.
        message: Finding about the file, in words.
    """

    audio_path: str
    reason: str
    hits: int
    events: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class IndexCounts:
    """The counts of a source set.

    Attributes:
        events: Number of events.
        hits: Number of hits, with and without a clip.
        clips: Number of clips.
        events_in_clips: Number of events in these clips.
        files: Number of audio files that clips were made from.
        by_split: Split -> clips.
    """

    hits: int
    clips: int
    files: int
    by_split: Mapping[str, int]
    events: int = 0
    events_in_clips: int = 0


@dataclass(frozen=True, slots=True)
class Index:
    """A source set of a dataset.

    Attributes:
        manifest: Key of the manifest.
        source_set: Name of the source set.
        settings: Everything that determines clips (`ClipSpec.to_json`).
        inputs: Digest of the catalog and the settings it was made from.
        shards: Shards in the order of the hits.
        counts: Totals of the source set.
        rejected: Reason -> hits without a clip.
        rejected_files: Losses of each file that lost hits.
        seconds_by_split: Split -> seconds of clips.
    """

    manifest: str
    source_set: str
    settings: JsonObject
    inputs: str
    shards: tuple[ShardEntry, ...]
    counts: IndexCounts
    rejected: dict[str, int]
    rejected_files: tuple[Rejected, ...] = ()
    seconds_by_split: dict[str, float] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The digest of what this source set holds, made from the names of its shards."""
        return digest_json([self.source_set, self.settings, [shard.digest for shard in self.shards]])

    @property
    def bytes(self) -> int:
        """Bytes of all shards."""
        return sum(shard.bytes for shard in self.shards)

    @property
    def taxonomy(self) -> JsonObject:
        """The identity of the taxonomy that the clips were made with."""
        found = self.settings.get("taxonomy")
        return found if isinstance(found, dict) else {}

    @property
    def components(self) -> tuple[str, ...]:
        """The labels of that taxonomy, in class order."""
        found = self.taxonomy.get("components")
        return tuple(str(label) for label in found) if isinstance(found, list) else ()

    def to_json(self) -> JsonObject:
        """Return the index as its file holds it, with a seal over every other value."""
        body: JsonObject = {"format": INDEX_FORMAT, "digest": self.digest, **to_json(self)}
        return body | {"seal": digest_json(body)}


@dataclass(frozen=True, slots=True)
class RejectedFile:
    """Hits of a file that got no clip, with the source set of the file.

    Attributes:
        source_set: Name of the source set.
        audio_path: Path of the file in the manifest.
        reason: Reason, one of `write_shard.REASONS`.
        hits: Number of hits.
        events: Number of events in these hits.
        message: Finding about the file, in words.
    """

    source_set: str
    audio_path: str
    reason: str
    hits: int
    events: int
    message: str


def rejected_files(indexes: Iterable[Index]) -> list[RejectedFile]:
    """Return the losses of all files that lost hits."""
    return [
        RejectedFile(index.source_set, lost.audio_path, lost.reason, lost.hits, lost.events, lost.message)
        for index in indexes
        for lost in index.rejected_files
    ]


def dataset_key(settings: Settings, ref: str | Path) -> str:
    """Return the manifest key that a reference stands for: a known key as it is, a path or name by its content."""
    text = str(ref)
    if indexes_folder(settings, text).is_dir() and text != settings.shards_dir.name:
        return text
    return manifest_key(resolve_manifest(settings, ref))


def indexes_folder(settings: Settings, key: str) -> Path:
    """Return the folder of a manifest's indexes."""
    return place_in(settings.dataset_dir, key)


def index_path(settings: Settings, key: str, source_set: str) -> Path:
    """Return the path of a source set's index."""
    return place_in(indexes_folder(settings, key), source_set, ".json")


def index_paths(settings: Settings, key: str) -> list[Path]:
    """Return the indexes of a manifest that are there, by name."""
    return index_files(indexes_folder(settings, key))


def index_files(folder: Path) -> list[Path]:
    """Return the indexes in a folder, by name. Hidden files are none: some systems put one beside every file."""
    return sorted(path for path in folder.glob("*.json") if not path.name.startswith("."))


def commit_index(settings: Settings, index: Index) -> Path:
    """Write an index in place of the last one, if it differs, and return its path.

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
        DatasetError: The index is missing, damaged, or of another format.
    """
    body = read_json(path)
    try:
        seal = body.pop("seal")
        if body["format"] != INDEX_FORMAT:
            raise DatasetError(
                f"A dataset index has format {body['format']}, not {INDEX_FORMAT}", where=path, do="export again"
            )
        shards = tuple(ShardEntry(**entry) for entry in body["shards"])
        lost = tuple(Rejected(**entry) for entry in body["rejected_files"])
        names = ("manifest", "source_set", "settings", "inputs", "rejected", "seconds_by_split")
        fields = {name: body[name] for name in names}
        index = Index(**fields, shards=shards, counts=IndexCounts(**body["counts"]), rejected_files=lost)
    except (KeyError, TypeError, AttributeError) as error:
        raise DatasetError("A dataset index is not complete", where=path, why=repr(error), do="export again") from error
    if seal != digest_json(body) or index.digest != body["digest"]:
        raise DatasetError("A dataset index is damaged: its seal does not match", where=path, do="export again")
    return index


def index_inputs(catalog: str, clips: JsonObject, unit_hits: int) -> str:
    """Return the digest of what an index is made from.

    Args:
        catalog: Digest of all that determines the catalog.
        clips: Shape of the clips (`ClipSpec.to_json`).
        unit_hits: Number of hits packed into a shard.
    """
    return digest_json([catalog, clips, unit_hits])


def dataset_digest(indexes: Iterable[Index]) -> str:
    """Return the digest of a dataset of several source sets."""
    return digest_json({index.source_set: index.digest for index in indexes})
