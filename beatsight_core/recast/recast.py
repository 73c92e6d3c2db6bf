"""Play the training sessions of a manifest again on kits drawn at random: the story.

As in the theatre, the play stays the same and the cast is new: onsets, hits and strengths are the manifest's, every
session is played on a kit, in a room and through a chain of its own. What a piece is, what it plays and how it sounds
is described in `pieces`, `exchange`, `rendition` and `variety`.
"""

import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import soundfile

from beatsight_core.dataset.space import free_bytes
from beatsight_core.demo.manifest_lines import LICENCE, labels_of, line
from beatsight_core.demo.own_place import require_no_link, require_own_manifest
from beatsight_core.demo.receipt import program_digest, read_receipt, write_receipt
from beatsight_core.errors import SettingsError, StorageError, UsageError
from beatsight_core.files import atomic_path, digest_json, exclusive_lock, write_bytes
from beatsight_core.leftovers import remove_leftovers
from beatsight_core.manifest.catalog import Catalog
from beatsight_core.manifest.identity import manifest_stem
from beatsight_core.manifest.read_manifest import build_catalog
from beatsight_core.names import file_name
from beatsight_core.progress import Progress, SilentProgress
from beatsight_core.recast.pieces import RATE_HZ, Casting, Piece, Score, spelling_in
from beatsight_core.recast.rendition import Pcm, Rendition
from beatsight_core.settings import Settings
from beatsight_core.taxonomy import taxonomy_named
from beatsight_core.typed_json import JsonObject, from_json, to_json
from beatsight_core.workers import WorkerPool, worker_count

ROUNDS, SEED, SOURCE_SET = 3, 7, "recast"

_EVENT_BYTES = 800
"""A line of the manifest, generously."""


@dataclass(frozen=True, slots=True)
class Recast:
    """The result of a recast: what was played, and where it lies.

    Attributes:
        manifest: The manifest that was written.
        folder: Folder of the audio.
        source: Key of the manifest that was played.
        source_set: Source set of the new sessions.
        rounds: Number of times that each session was played.
        seed: Seed that kits and all else were drawn from.
        played_sessions: Training sessions that were played.
        sessions: Number of new sessions, each on a kit of its own.
        events: Lines of the manifest.
        seconds: Length of the audio.
        bytes: Size of the audio.
        files_kept: Files that were there already.
        events_by_component: Label -> events.
        left_out: Label that no kit can play -> its strokes, in one round.
    """

    manifest: str
    folder: str
    source: str
    source_set: str
    rounds: int
    seed: int
    played_sessions: int
    sessions: int
    events: int
    seconds: float
    bytes: int
    files_kept: int
    events_by_component: dict[str, int]
    left_out: dict[str, int]

    def to_json(self) -> JsonObject:
        """Return the result as its receipt and `--json` hold it."""
        return to_json(self)


@dataclass(frozen=True, slots=True)
class _Played:
    """A piece that lies on the disk."""

    path: Path
    events: list[JsonObject]
    samples: int
    bytes: int
    kept: bool


@dataclass(frozen=True, slots=True)
class _Places:
    """Where a recast of a manifest goes."""

    root: Path
    stem: str
    manifest: Path

    @classmethod
    def of(cls, settings: Settings, catalog: Catalog, source_set: str) -> "_Places":
        stem = manifest_stem(Path(catalog.summary.manifest))
        places = cls(settings.recast_folder(source_set), stem, settings.manifests_dir / f"{stem}_{source_set}.jsonl")
        require_no_link(settings.data_root, places.folder)
        require_own_manifest(places.manifest, source_set)
        return places

    @property
    def folder(self) -> Path:
        return self.root / file_name(self.stem)

    @property
    def receipt(self) -> str:
        return f"{file_name(self.stem)}.json"


def recast_manifest(
    settings: Settings,
    ref: str | Path,
    *,
    rounds: int = ROUNDS,
    seed: int = SEED,
    source_set: str = SOURCE_SET,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Recast:
    """Play the training sessions of a manifest again on other kits, or find that this was done.

    Audio that is there whole and was made of the same is kept. The same manifest, settings and seed give the same
    bytes, whatever the number of processes. All new sessions fall into train.

    Args:
        settings: Layout of the data root, taxonomy, and rule of splits.
        ref: Manifest: a path, a name in the inbox, or a known key.
        rounds: Number of times that each session is played, on another kit every time.
        seed: Seed of everything that is drawn at random.
        source_set: Source set that the new sessions are filed under.
        workers: Number of processes; `dataset.workers` of the settings if None, where 0 means one per core.
        progress: Receiver of the number of sessions played.

    Raises:
        UsageError: Rounds, seed or source set cannot be; a link leads out of the data root, or a manifest of the new
            one's name is somebody's own.
        SettingsError: The source set is to be split in a way that would not leave all of it in train.
        ManifestError: The manifest is not found or damaged, or no kit can play anything of it.
        StorageError: There is too little room, or a file cannot be written. What is finished is kept.
    """
    _check_request(settings, rounds, seed, source_set)
    progress = progress or SilentProgress()
    catalog = build_catalog(settings, ref, progress=progress)
    if source_set in catalog.source_sets:
        raise UsageError(
            f"The manifest has sessions of the source set {source_set!r} already",
            where=catalog.summary.manifest,
            do="name the manifest that they were made from, or another source set with --source-set",
        )
    places = _Places.of(settings, catalog, source_set)
    made_from: JsonObject = {"inputs": catalog.summary.inputs, "rounds": rounds, "seed": seed, "source_set": source_set}
    with exclusive_lock(settings.catalog_dir / ".locks" / file_name(places.manifest.name)):
        found = read_receipt(places.root, made_from, places.manifest, places.receipt)
        if found is not None:
            here = {"manifest": str(places.manifest), "folder": str(places.folder), "files_kept": found["sessions"]}
            return from_json(Recast, {**found, **here})
        casting = Casting(
            places.stem, source_set, seed, rounds, settings.dataset, spelling_in(taxonomy_named(settings.taxonomy))
        )
        score = Score(catalog, casting.spelling)
        _require_space(places, score, rounds)
        count = worker_count(settings.dataset.workers if workers is None else workers)
        recast, audio = _play_all(places, catalog, score, casting, count, progress)
        write_receipt(places.root, made_from, places.manifest, audio, recast.to_json(), places.receipt)
    return recast


def _check_request(settings: Settings, rounds: int, seed: int, source_set: str) -> None:
    if rounds < 1 or seed < 0:
        raise UsageError(
            f"{rounds} rounds with seed {seed} cannot be played", do="at least one round, a seed from 0 on"
        )
    if file_name(source_set) != source_set:
        raise UsageError(f"{source_set!r} cannot name a source set", do="use letters, digits, - and _")
    if split_by := settings.source(source_set).split_by:
        raise SettingsError(
            f"The source set {source_set!r} is split by {' and '.join(split_by)}",
            where=settings.file,
            why="recast sessions are of the drummers of others, and all of them must train",
            do=f"take split_by out of [sources.{source_set}], or name another with --source-set",
        )


def _require_space(places: _Places, score: Score, rounds: int) -> None:
    there = sum(path.stat().st_size for path in places.folder.glob("*.flac")) if places.folder.is_dir() else 0
    needed = rounds * (score.seconds * RATE_HZ * 2 + score.hits * _EVENT_BYTES) - there
    free = free_bytes(places.root)
    if needed > free:
        raise StorageError(
            f"There is not enough room: recasting needs up to {needed / 1e9:,.1f} GB, {free / 1e9:,.1f} GB are free",
            where=places.root,
            why=f"{score.seconds * rounds / 3600.0:,.1f} hours are to be played",
            do="free some space, or ask for fewer --rounds; nothing was written",
        )


def _play_all(
    places: _Places, catalog: Catalog, score: Score, casting: Casting, workers: int, progress: Progress
) -> tuple[Recast, list[Path]]:
    remove_leftovers(places.folder)
    of_another = f"{places.manifest.name}.tmp-"
    remove_leftovers(places.manifest.parent, lambda path: not path.name.startswith(of_another))
    count = casting.rounds * (len(score) + 1)
    audio: list[Path] = []
    labels: Counter[str] = Counter()
    events = kept = samples = size = 0
    with (
        atomic_path(places.manifest) as temporary,
        temporary.open("wb") as lines,
        progress.task("Recast", count, "sessions") as task,
        # Never this process itself, whose libraries are loaded and may use several threads.
        WorkerPool(partial(_play, places.root, program_digest()), max(2, workers)) as pool,
    ):
        for played in pool.map(_pieces(score, casting), count):
            lines.write(b"".join(map(line, played.events)))
            labels.update(label for event in played.events for label in labels_of(event))
            audio.append(played.path)
            events, kept = events + len(played.events), kept + played.kept
            samples, size = samples + played.samples, size + played.bytes
            task.advance(1, events=events, kept=kept)
    recast = Recast(
        manifest=str(places.manifest),
        folder=str(places.folder),
        source=catalog.key,
        source_set=casting.source_set,
        rounds=casting.rounds,
        seed=casting.seed,
        played_sessions=score.sessions,
        sessions=len(audio),
        events=events,
        seconds=round(samples / RATE_HZ, 3),
        bytes=size,
        files_kept=kept,
        events_by_component={label: labels[label] for label in casting.spelling.values()},
        left_out=score.left_out,
    )
    return recast, audio


def _pieces(score: Score, casting: Casting) -> Iterator[Piece]:
    for number in range(casting.rounds):
        for place in range(len(score)):
            session, part, hits = score.part(place)
            yield casting.piece(session, part, number, hits)
        yield casting.roll_call(number)


def _play(root: Path, program: str, piece: Piece) -> _Played:
    """Play a piece into its file, unless it is there whole and made of the same: what one process does at a time."""
    performance, path = Rendition.draw(piece), root / piece.audio_path
    made_from = digest_json([program, piece])
    sound = _kept(path, made_from)
    kept = sound is not None
    if sound is None:
        sound = performance.sound()
        write_bytes(path, _flac(sound, piece.session_id, made_from))
    return _Played(path, performance.events(sound), sound.size, path.stat().st_size, kept)


def _flac(sound: Pcm, title: str, made_from: str) -> bytes:
    """A FLAC file that says what it was made of."""
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", RATE_HZ, 1, subtype="PCM_16", format="FLAC") as file:
        file.title, file.license, file.comment = title, LICENCE, made_from
        file.write(sound)
    return buffer.getvalue()


def _kept(path: Path, made_from: str) -> Pcm | None:
    """The sound of a file that says it was made of the same, if all of it can be decoded."""
    try:
        with soundfile.SoundFile(path) as file:
            if file.comment != made_from:
                return None
            sound: Pcm = file.read(dtype="int16")
            return sound if sound.size == file.frames else None
    except (OSError, soundfile.LibsndfileError):
        return None
