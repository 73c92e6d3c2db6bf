"""What Dagster adds: the graph from a terminal beside the same calls of the library in one process, and the imports."""

import sys

from benchmarks.bench import CPU_ONLY, Bench, beside, inner_seconds, seconds
from benchmarks.figures import Figure, Target
from benchmarks.measure import Took, take

STEPS = {"ingest": 2, "evaluation": 7}
"""Assets of the graph up to a stage: manifest, inventory; dataset, features; health, probe, evaluation."""

IMPORTS = 10
"""Imports that are timed, in turn with those of dagster, after one of each that warms the drive's cache."""


def measure(bench: Bench) -> list[Figure]:
    """Return the seconds an asset beyond its work, and what importing the definitions takes."""
    return [_an_asset(bench), _imports(bench)]


def _an_asset(bench: Bench) -> Figure:
    until = bench.scale.graph_until
    graph: list[Took] = []
    work: list[Took] = []
    for _ in bench.rounds("overhead"):
        with bench.fresh_root() as root:
            work.append(bench.call("library", "graph", root, bench.part, until))
        with bench.fresh_root() as root:
            words = (bench.part, "--until", until, "--set", "epochs=1", "--data-root", root)
            graph.append(bench.program("beatsight_dagster.materialize", *words))
    steps = STEPS[until]
    beyond = tuple((all_s - work_s) / steps for all_s, work_s in zip(seconds(graph), inner_seconds(work), strict=True))
    note = f"{steps} assets, {min(seconds(graph)):.1f} to {max(seconds(graph)):.1f} s; their work in one process: "
    note += f"{min(inner_seconds(work)):.1f} to {max(inner_seconds(work)):.1f} s"
    return Figure("overhead of the platform, an asset", "s", beyond, target=Target(1.5, "value"),
                  target_is="<= 1.5 s beyond its work", note=note, beside=beside(graph))  # fmt: skip


def _imports(bench: Bench) -> Figure:
    bench.say("overhead: imports")
    taken: dict[str, list[Took]] = {"dagster": [], "beatsight_dagster.definitions": []}
    for number in range(1 + IMPORTS):
        for module, times in taken.items():
            took = take([sys.executable, "-c", f"import {module}"], env=CPU_ONLY)
            if number:
                times.append(took)
    dagster, definitions = taken.values()
    return Figure("import of the definitions, a process", "s", seconds(definitions), floor=seconds(dagster),
                  floor_is="import dagster", target=Target(1.25), target_is="<= 1.25 x importing dagster",
                  beside=beside(definitions))  # fmt: skip
