"""Make the demo corpus: plan the sessions, play and record them, spoil some on purpose, write manifest and settings."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from beatsight_core.demo import faults
from beatsight_core.demo.manifest_lines import LICENCE, labels_of, line, onset_s, session_events, strewn, techniques_of
from beatsight_core.demo.own_place import require_no_link
from beatsight_core.demo.planning import SIZES, Plan, SessionPlan, plan_sessions
from beatsight_core.demo.receipt import read_receipt, write_receipt
from beatsight_core.demo.recording import PlayedSession, play, record
from beatsight_core.demo.source_formats import SOURCES, SourceFormat
from beatsight_core.errors import UsageError
from beatsight_core.files import write_bytes, write_text
from beatsight_core.progress import Progress, SilentProgress
from beatsight_core.settings import SETTINGS_FILE
from beatsight_core.taxonomy import CORE
from beatsight_core.typed_json import JsonObject, from_json, to_json
from beatsight_core.workers import WorkerPool, worker_count

MANIFEST = "manifests/demo.jsonl"


_SETTINGS = """# The demo corpus: three source sets, one of them over two drives.
{sources}
[gates]
profile = "demo"

# Some thousand hits make few steps in eight epochs: the probe takes larger ones.
[training.warmup]
lr = 1e-3
"""


@dataclass(frozen=True, slots=True)
class FileCost:
    """A file with a fault, and what it costs.

    Attributes:
        source_set: Source set of the file.
        audio_path: Path of the file in the manifest.
        events: Number of events.
    """

    source_set: str
    audio_path: str
    events: int


@dataclass(frozen=True, slots=True)
class CutFile(FileCost):
    """A file that was cut, and what it costs.

    Attributes:
        promised_frames: Number of frames that its header promises.
        readable_frames: Number of frames that can be decoded.
        events_past_cut: Number of events after these frames.
    """

    promised_frames: int
    readable_frames: int
    events_past_cut: int


@dataclass(frozen=True, slots=True)
class DemoCorpus:
    """A demo corpus: what was made, and what the platform should find in it.

    Attributes:
        data_root: Folder that holds it.
        manifest: Path of the manifest.
        seed: Seed that it was drawn from.
        size: Size of the corpus, "demo" or "tiny".
        lines: Lines of the manifest that are not blank.
        events: Lines that are valid events.
        rejects_by_reason: Reason -> lines that must be refused for it.
        sessions: Sessions of valid events.
        files: Audio files that are there.
        seconds: Length of all audio files together.
        bytes: Size of all audio files together.
        events_by_source: Valid events per source set.
        events_by_component: Valid events per component, aliases resolved.
        sessions_by_split: Sessions per split, by the platform's own rule.
        techniques: Valid events per technique.
        duplicates: Events that repeat another under a new id.
        unknown_labels: Components of refused lines that no taxonomy knows.
        missing: File that is not there, and the events that it costs.
        truncated: File that was cut: what its header promises, what can be decoded, and what it costs.
        past_end: File that one event lies beyond the end of.
    """

    data_root: str
    manifest: str
    seed: int
    size: str
    lines: int
    events: int
    rejects_by_reason: dict[str, int]
    sessions: int
    files: int
    seconds: float
    bytes: int
    events_by_source: dict[str, int]
    events_by_component: dict[str, int]
    sessions_by_split: dict[str, int]
    techniques: dict[str, int]
    duplicates: int
    unknown_labels: dict[str, int]
    missing: FileCost
    truncated: CutFile
    past_end: FileCost

    def to_json(self) -> JsonObject:
        """Return the corpus as its receipt and `--json` hold it."""
        return to_json(self)


@dataclass(frozen=True, slots=True)
class _Made:
    """The pieces of a corpus on their way to a manifest."""

    sound: tuple[PlayedSession, ...]
    missing: PlayedSession
    truncated: PlayedSession
    readable_frames: int

    @property
    def all(self) -> tuple[PlayedSession, ...]:
        return (*self.sound, self.missing, self.truncated)

    @property
    def recorded(self) -> tuple[PlayedSession, ...]:
        return (*self.sound, self.truncated)


def make_demo(
    data_root: Path,
    *,
    seed: int = 7,
    size: str = "demo",
    workers: int = 0,
    progress: Progress | None = None,
) -> DemoCorpus:
    """Make the demo corpus in a data root, or find that it is there already.

    The same seed and size give the same bytes of audio and manifest, whatever the number of processes.

    Args:
        data_root: Folder that gets `raw/`, `manifests/demo.jsonl` and, where there is none, `beatsight.toml`.
        seed: Seed of everything that is drawn at random.
        size: Size of the corpus: "demo", or "tiny" for tests.
        workers: Number of processes; 0 means one per core.
        progress: Receiver of the number of sessions recorded.

    Raises:
        UsageError: There is no such size, the seed is negative, or a link leads out of the data root.
        StorageError: A file cannot be written.
    """
    if size not in SIZES or seed < 0:
        raise UsageError(
            f"There is no demo of size {size!r} and seed {seed}",
            do=f"use one of {', '.join(SIZES)}; a seed is 0 or more",
        )
    data_root = Path(data_root).absolute()
    for source in SOURCES:
        for root in source.roots:
            require_no_link(data_root, data_root / root)
    made_from: JsonObject = {"seed": seed, "size": size}
    manifest = data_root / MANIFEST
    _write_settings(data_root)
    found = read_receipt(data_root, made_from, manifest)
    if found is not None:
        return from_json(DemoCorpus, {**found, "data_root": str(data_root), "manifest": str(manifest)})
    made = _make(data_root, plan_sessions(seed, SIZES[size]), workers, progress or SilentProgress())
    corpus = _write_manifest(data_root, made, seed, size)
    audio = [recording.path(data_root) for recording in made.recorded]
    write_receipt(data_root, made_from, manifest, audio, corpus.to_json())
    return corpus


def _make(data_root: Path, plan: Plan, workers: int, progress: Progress) -> _Made:
    recordings = _record_all(data_root, (*plan.sound, plan.truncated), workers, progress)
    truncated = recordings[plan.truncated.number]
    missing = play(plan.missing)
    missing.path(data_root).unlink(missing_ok=True)
    readable = faults.truncate(truncated.path(data_root))
    return _Made(tuple(recordings[session.number] for session in plan.sound), missing, truncated, readable)


def _record_all(
    data_root: Path, plans: Sequence[SessionPlan], workers: int, progress: Progress
) -> dict[int, PlayedSession]:
    by_kit: dict[str, list[SessionPlan]] = {}
    for plan in plans:
        by_kit.setdefault(plan.kit.kit_id, []).append(plan)
    # The kits with the most samples first, so that no process is left with a long one at the end.
    batches = sorted(
        by_kit.values(), key=lambda batch: -len(batch) * batch[0].source.rate_hz * batch[0].source.channels
    )
    # Never this process itself, whose libraries are loaded and may use several threads.
    count = max(2, worker_count(workers))
    recordings: dict[int, PlayedSession] = {}
    with (
        progress.task("Record the demo corpus", len(plans), "sessions") as task,
        WorkerPool(partial(record, data_root), count) as pool,
    ):
        for done in pool.map(batches, len(batches)):
            recordings |= {recording.plan.number: recording for recording in done}
            task.advance(len(done))
    return recordings


def _write_manifest(data_root: Path, made: _Made, seed: int, size: str) -> DemoCorpus:
    events = [event for recording in made.all for event in session_events(recording)]
    last = made.sound[-1]
    past_end = faults.past_end(session_events(last)[-1], last.seconds)
    strays = [past_end, faults.duplicate(events[1])]
    bad = faults.bad_lines(events[0])
    # A blank line is no event and no mistake.
    lines = strewn([line(event) for event in events], [*map(line, strays), *(text for _, text in bad), b"\n"])
    write_bytes(data_root / MANIFEST, b"".join(lines))
    rejects = Counter(reason for reason, _ in bad)
    return _summary(data_root, made, seed=seed, size=size, events=[*events, *strays], rejects=rejects)


def _summary(
    data_root: Path, made: _Made, *, seed: int, size: str, events: list[JsonObject], rejects: Counter[str]
) -> DemoCorpus:
    labels = Counter(CORE.canonical[label] for event in events for label in labels_of(event))
    techniques = Counter(technique for event in events for technique in techniques_of(event))
    return DemoCorpus(
        data_root=str(data_root),
        manifest=str(data_root / MANIFEST),
        seed=seed,
        size=size,
        lines=len(events) + rejects.total(),
        events=len(events),
        rejects_by_reason=dict(sorted(rejects.items())),
        sessions=len(made.all),
        files=len(made.recorded),
        seconds=round(sum(recording.seconds for recording in made.recorded), 3),
        bytes=sum(recording.path(data_root).stat().st_size for recording in made.recorded),
        events_by_source=dict(sorted(Counter(str(event["source_set"]) for event in events).items())),
        events_by_component={label: labels[label] for label in CORE.components},
        sessions_by_split=dict(sorted(Counter(recording.plan.split for recording in made.all).items())),
        techniques=dict(sorted(techniques.items())),
        duplicates=1,
        unknown_labels={faults.UNKNOWN_LABEL: 1},
        missing=_costs(made.missing, len(made.missing.strokes)),
        truncated=CutFile(
            made.truncated.plan.source.name,
            made.truncated.plan.audio_path,
            len(made.truncated.strokes),
            promised_frames=made.truncated.samples,
            readable_frames=made.readable_frames,
            events_past_cut=_events_from(made.truncated, made.readable_frames),
        ),
        past_end=_costs(made.sound[-1], 1),
    )


def _costs(recording: PlayedSession, events: int) -> FileCost:
    return FileCost(recording.plan.source.name, recording.plan.audio_path, events)


def _events_from(recording: PlayedSession, frame: int) -> int:
    end_s = frame / recording.plan.source.rate_hz
    return sum(onset_s(recording, stroke) >= end_s for stroke in recording.strokes)


def _write_settings(data_root: Path) -> None:
    """Write `beatsight.toml` unless there is one: it is the user's from then on."""
    path = data_root / SETTINGS_FILE
    if path.exists():
        return
    write_text(path, _SETTINGS.format(sources="".join(map(_source_table, SOURCES))))


def _source_table(source: SourceFormat) -> str:
    roots = ", ".join(f'"{root}"' for root in source.roots)
    return (
        f"\n[sources.{source.name}]\n"
        f"roots = [{roots}]\n"
        f'licence = "{LICENCE}"\n'
        f"expected_sample_rate_hz = {source.rate_hz}\n"
    )
