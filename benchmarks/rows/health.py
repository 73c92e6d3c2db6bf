"""The health report of a full-size manifest, from its catalog: `beatsight health` as a user runs it."""

from benchmarks.bench import Bench, beside, inner_seconds, largest_mib, seconds
from benchmarks.figures import Figure, Target
from benchmarks.measure import Took


def measure(bench: Bench) -> list[Figure]:
    """Time and memory; beside it a plain scan of the catalog's files."""
    scale, root = bench.scale, bench.root("health")
    manifest = bench.long_manifest(scale.events)
    bench.say("health: the catalog")
    key = bench.verb(root, "manifest", "check", manifest).said["key"]
    bench.verb(root, "health", manifest, allowed=(0, 1))
    health: list[Took] = []
    scan: list[Took] = []
    old: list[Took] = []
    for _ in bench.rounds("health"):
        scan.append(bench.reference("scan", root / "catalog" / key))
        health.append(bench.verb(root, "health", manifest, allowed=(0, 1)))
        old.append(bench.call("old_way", "health", manifest, scale.old_lines))
    before = tuple(each * scale.events / scale.old_lines for each in inner_seconds(old))
    return [
        Figure(f"health of {scale.events:,} events", "s", seconds(health), inner_seconds(scan), "Parquet scan", before,
               Target(2.0, "value"), "<= 2 s", f"old way: {scale.old_lines:,} lines, scaled", beside(health)),
        Figure("its largest process", "MiB", largest_mib(health), target=Target(1024, "value"), target_is="<= 1 GiB"),
    ]  # fmt: skip
