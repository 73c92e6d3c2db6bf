"""Evaluation: every clip of the corpus predicted, measured and reported by `beatsight evaluate`."""

import shutil

from benchmarks.bench import Bench, beside
from benchmarks.figures import Figure, Target, Values
from benchmarks.measure import Took

OLD_CLIPS = 768


def measure(bench: Bench) -> list[Figure]:
    """Clips per second of the library's call and of the whole verb."""
    root = bench.ready
    words = ("train", bench.part, "--preset", "warmup", "--set", "epochs=1", "--device", "cpu")
    run = bench.verb(root, *words).said["run_id"]
    forward: list[Took] = []
    judged: list[Took] = []
    old: list[Took] = []
    clips = min(OLD_CLIPS, bench.scale.net_clips)
    judging = ("evaluate", run, "--on", bench.manifest, "--split", "all", "--device", "cpu")
    for other in (root / "runs").glob("warmup-*"):  # of earlier versions; it would be compared with them
        if other.name != run:
            shutil.rmtree(other)
    for _ in bench.rounds("evaluation"):
        shutil.rmtree(root / "reports" / "metrics", ignore_errors=True)
        forward.append(bench.reference("forward", bench.scale.net_clips))
        judged.append(bench.verb(root, *judging, imports="beatsight_core.evaluation.predict"))
        old.append(bench.call("old_way", "evaluate", bench.old_pictures, clips))
    hits = [each.said["metrics"]["hits"] for each in judged]
    called = tuple(count / each.said["seconds"] for count, each in zip(hits, judged, strict=True))
    whole = tuple(count / each.seconds for count, each in zip(hits, judged, strict=True))
    return [
        Figure(f"evaluation of {hits[0]:,} clips", "clips/s", called, _rates(forward), "forward", _rates(old),
               Target(0.9, at_least=True), ">= 0.9 x forward",
               "the library's call with figures and report, compared with nothing (a rival that was never evaluated "
               "costs as much again); the old way's pictures have 128 frames", beside(judged)),
        Figure("the verb, from its start to its end", "clips/s", whole, _rates(forward), "forward"),
    ]  # fmt: skip


def _rates(taken: list[Took]) -> Values:
    return tuple(each.said["clips"] / each.said["seconds"] for each in taken)
