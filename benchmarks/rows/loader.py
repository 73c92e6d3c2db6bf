"""Shuffled batches of the cached features, at the batch of the warm-up preset, with the cache in memory.

A batch of the loader is what the net takes: decibels in single precision, and targets. The reference point copies the
same number of half-precision pictures out of a memory-mapped array and does nothing with them.
"""

from benchmarks.bench import Bench
from benchmarks.figures import Figure, Target, Values
from benchmarks.measure import Took

BATCH = 32


def measure(bench: Bench) -> list[Figure]:
    """Clips per second, resident and mapped."""
    root = bench.ready
    clips = bench.verb(root, "export", bench.manifest).said["hits"]
    took: dict[str, list[Took]] = {name: [] for name in ("memmap", "loader", "mapped", "old")}
    for _ in bench.rounds("loader"):
        for name in ("loader", "mapped"):
            took[name].append(bench.call("library", name, root, bench.manifest, BATCH))
        took["memmap"].append(bench.reference("memmap", clips, BATCH, bench.data))
        took["old"].append(bench.call("old_way", "loader", bench.old_pictures))
    storage = took["loader"][0].said["storage"]
    rates = {name: _rates(taken) for name, taken in took.items()}
    return [
        Figure(f"loader, batches of {BATCH}, clips resident", "clips/s", rates["loader"], rates["memmap"], "memmap",
               rates["old"], Target(0.5, at_least=True), ">= 0.5 x memmap", f"stored as {storage}"),
        Figure("the same, clips left in the mapped cache", "clips/s", rates["mapped"], rates["memmap"], "memmap",
               note="taken only if the clips do not fit into memory"),
    ]  # fmt: skip


def _rates(taken: list[Took]) -> Values:
    return tuple(each.said["clips"] / each.said["seconds"] for each in taken)
