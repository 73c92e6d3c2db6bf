"""A manifest to its catalog: every line validated, bad ones put aside, events and hits written as Parquet.

`beatsight manifest check` in an empty data root; the same again; and once more after 1 % of lines were appended. Beside
it orjson over the same file, and a manifest a tenth as long, to see whether time grows with the lines.
"""

import os
import statistics
from itertools import islice
from pathlib import Path

from benchmarks.bench import Bench, beside, inner_seconds, largest_mib, seconds
from benchmarks.figures import Figure, Target
from benchmarks.measure import Took


def measure(bench: Bench) -> list[Figure]:
    """Time, memory, the unchanged and the appended manifest, growth."""
    scale = bench.scale
    long, short = bench.long_manifest(scale.events), bench.long_manifest(scale.short_events)
    took: dict[str, list[Took]] = {name: [] for name in ("parse", "build", "again", "short", "start", "old", "append")}
    for _ in bench.rounds("catalog"):
        took["parse"].append(bench.reference("parse", long))
        with bench.fresh_root() as root:
            took["build"].append(bench.verb(root, "manifest", "check", long))
            took["again"].append(bench.verb(root, "manifest", "check", long))
            took["short"].append(bench.verb(root, "manifest", "check", short))
            took["start"].append(bench.verb(root, "manifest", "check", short))
            took["append"].append(_appended(bench, root, long))
        took["old"].append(bench.call("old_way", "catalog", long, scale.old_lines))
    grown = _per_row(took, scale.events, scale.short_events)
    old = tuple(each * scale.events / scale.old_lines for each in inner_seconds(took["old"]))
    lines = f"{scale.events:,} events"
    return [
        Figure(f"manifest of {lines} to a catalog", "s", seconds(took["build"]), inner_seconds(took["parse"]), "parse",
               old, Target(3.0), "<= 3 x parse", f"old way: {scale.old_lines:,} lines, scaled; it writes nothing",
               beside(took["build"])),
        Figure("its largest process", "MiB", largest_mib(took["build"]), target=Target(1024, "value"),
               target_is="<= 1 GiB", beside=beside(took["build"])),
        Figure("the same again, unchanged", "s", seconds(took["again"]), target=Target(1.0, "value"),
               target_is="<= 1 s", beside=beside(took["again"])),
        Figure("with 1 % of lines appended", "s", seconds(took["append"]), seconds(took["build"]), "the whole catalog",
               note="no target; what was read before is not parsed again", beside=beside(took["append"])),
        Figure(f"time per event, {scale.events:,} against {scale.short_events:,}", "us", grown["long"], grown["short"],
               "the short one", target=Target(1.3), target_is="<= 1.3 x", note="without start of the process"),
    ]  # fmt: skip


def _appended(bench: Bench, root: Path, manifest: Path) -> Took:
    """The verb on a manifest that has grown by a hundredth since; it is as it was afterwards."""
    before = manifest.stat()
    try:
        with bench.long_manifest(bench.scale.short_events).open("rb") as more, manifest.open("ab") as handle:
            for line in islice(more, max(1, bench.scale.events // 100)):
                handle.write(line.replace(b'"event_id":"', b'"event_id":"new-'))
        return bench.verb(root, "manifest", "check", manifest)
    finally:
        os.truncate(manifest, before.st_size)
        os.utime(manifest, ns=(before.st_atime_ns, before.st_mtime_ns))


def _per_row(took: dict[str, list[Took]], long: int, short: int) -> dict[str, tuple[float, ...]]:
    """Microseconds per event of both lengths, the start of a process that finds all done taken off."""
    start = statistics.median(seconds(took["start"]))
    return {
        "long": tuple(1e6 * (each - start) / long for each in seconds(took["build"])),
        "short": tuple(1e6 * max(each - start, 1e-3) / short for each in seconds(took["short"])),
    }
