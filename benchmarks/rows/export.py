"""The export of the corpus: `beatsight export` from a manifest nobody has seen to committed shards.

Beside it every file decoded once, and half a second of writing. What the manifest's own size costs in memory is seen by
exporting one small source set of a long manifest, and of one a tenth as long.
"""

from pathlib import Path

from benchmarks.bench import Bench, beside, inner_seconds, largest_mib, seconds
from benchmarks.figures import Figure, Target, Values
from benchmarks.measure import Took
from benchmarks.recordings import CAMBRIDGE

WRITING_S = 0.5
"""What the floor allows for writing the clips."""


def measure(bench: Bench) -> list[Figure]:
    """Time, files, bytes and memory."""
    raw, scale = bench.corpus / "raw", bench.scale
    decode: list[Took] = []
    export: list[Took] = []
    old: list[Took] = []
    sizes: list[int] = []
    for _ in bench.rounds("export"):
        decode.append(bench.reference("decode", raw))
        with bench.fresh_root() as root:
            export.append(bench.verb(root, "export", bench.manifest))
            shards = [path.stat().st_size for path in (root / "datasets").rglob("*") if path.is_file()]
            sizes.append(sum(shards))
        with bench.fresh_folder() as folder:
            old.append(bench.call("old_way", "export", bench.part, raw, folder))
    floor = tuple(each + WRITING_S for each in inner_seconds(decode))
    events, audio = scale.corpus.sessions * scale.corpus.events, scale.corpus.sessions
    before = tuple(each * scale.part for each in inner_seconds(old))
    clips = export[0].said["hits"]
    return [
        Figure(f"export of {events:,} events, {clips:,} clips", "s", seconds(export), floor, "decode + 0.5 s", before,
               Target(1.5), "<= 1.5 x", f"old way: 1/{scale.part} of it, scaled", beside(export)),
        Figure("files of the dataset", "files", (float(len(shards)),), (float(audio),), "audio files",
               (float(old[0].said["files"] * scale.part),), Target(1.0), "~ audio files"),
        Figure("its size", "MB", tuple(size / 1e6 for size in sizes), target=Target(510.0, "value"),
               target_is="<= 510 MB"),
        Figure("its largest process", "MiB", largest_mib(export), target=Target(1536, "value"),
               target_is="<= 1.5 GiB", beside=beside(export)),
        _flat(bench),
    ]  # fmt: skip


def _flat(bench: Bench) -> Figure:
    """Memory of the export of one small source set, from a long manifest and from a short one."""
    found = {events: _memory_of(bench, events) for events in (bench.scale.events, bench.scale.short_events)}
    long, short = found.values()
    what = f"its memory from {bench.scale.events:,} events against {bench.scale.short_events:,}"
    return Figure(what, "MiB", long, short, "the short one", target=Target(1.3), target_is="flat",
                  note=f"{CAMBRIDGE.name} alone")  # fmt: skip


def _memory_of(bench: Bench, events: int) -> Values:
    manifest: Path = bench.long_manifest(events)
    root = bench.root("flat")
    bench.say(f"export: memory with {events:,} events")
    bench.verb(root, "manifest", "check", manifest)
    words = ("export", manifest, "--source", CAMBRIDGE.name, "--overwrite")
    return largest_mib([bench.verb(root, *words) for _ in range(bench.scale.repeats)])
