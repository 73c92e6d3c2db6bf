"""A release: the verbs that promote a run and take it back, from their start to their end."""

import shutil

from benchmarks.bench import Bench, beside, seconds
from benchmarks.figures import Figure, Target
from benchmarks.measure import Took

FORCE = ("--force", "a benchmark", "--device", "cpu")


def measure(bench: Bench) -> list[Figure]:
    """Seconds of `beatsight promote` with a record that counts, and of `beatsight rollback`."""
    root = bench.ready
    words = ("train", bench.part, "--preset", "warmup", "--set", "epochs=1", "--device", "cpu")
    runs = [bench.verb(root, *words, "--set", f"seed={seed}").said["run_id"] for seed in (1, 2)]
    promoted: list[Took] = []
    back: list[Took] = []
    for _ in bench.rounds("release"):
        shutil.rmtree(root / "models", ignore_errors=True)
        bench.verb(root, "promote", runs[0], *FORCE)
        bench.verb(root, "promote", runs[1], *FORCE, "--dry-run")  # judges: what is timed is the promotion
        promoted.append(bench.verb(root, "promote", runs[1], *FORCE))
        back.append(bench.verb(root, "rollback", "--why", "a benchmark"))
    shutil.rmtree(root / "models", ignore_errors=True)
    return [
        Figure("rollback, the whole verb", "s", seconds(back), target=Target(1.0, "value"), target_is="<= 1 s",
               note="checks every file of the version, moves the pointer, changes the pair", beside=beside(back)),
        Figure("promotion of a judged run, the whole verb", "s", seconds(promoted),
               note="makes the version and loads it in a fresh process", beside=beside(promoted)),
    ]  # fmt: skip
