"""What Dagster adds: the graph materialized from a terminal, against the same calls of the library in one process."""

from benchmarks.bench import Bench, beside, inner_seconds, seconds
from benchmarks.figures import Figure, Target
from benchmarks.measure import Took

STEPS = {"ingest": 2, "evaluation": 7}
"""Assets of the graph up to a stage: manifest, inventory; dataset, features; health, probe, evaluation."""


def measure(bench: Bench) -> list[Figure]:
    """Seconds an asset beyond its work."""
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
    return [Figure("overhead of the platform, an asset", "s", beyond, target=Target(2.0, "value"),
                   target_is="<= 2 s beyond its work", note=note, beside=beside(graph))]  # fmt: skip
