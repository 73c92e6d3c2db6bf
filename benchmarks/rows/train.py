"""Training: clips per second of a run, against forward and backward of the net alone.

A run is `beatsight train` with the warm-up preset for an epoch over a tenth of the corpus: augmentation, optimizer and
all, without its validation. This is the CPU; the row `gpu` is about training on a GPU.
"""

from benchmarks.bench import Bench, beside
from benchmarks.figures import Figure, Target, Values
from benchmarks.measure import Took

OLD_CLIPS = 384


def measure(bench: Bench) -> list[Figure]:
    """On the CPU."""
    root = bench.ready
    model: list[Took] = []
    train: list[Took] = []
    old: list[Took] = []
    clips = min(OLD_CLIPS, bench.scale.net_clips)
    words = ("train", bench.part, "--preset", "warmup", "--set", "epochs=1", "--device", "cpu", "--fresh")
    for _ in bench.rounds("train"):
        model.append(bench.reference("model", bench.scale.net_clips))
        train.append(bench.verb(root, *words))
        old.append(bench.call("old_way", "train", bench.old_pictures, clips))
    figure = Figure(
        "training on the CPU", "clips/s", tuple(each.said["clips_per_second"] for each in train), _rates(model),
        "model", _rates(old), Target(0.9, at_least=True), ">= 0.9 x model",
        "batches of 32; the old way's pictures have 128 frames instead of 25", beside(train),
    )  # fmt: skip
    return [figure]


def _rates(taken: list[Took]) -> Values:
    return tuple(each.said["clips"] / each.said["seconds"] for each in taken)
