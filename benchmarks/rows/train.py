"""Training: clips per second of a run, against forward and backward of the net alone.

A run is `beatsight train` with the warm-up preset for an epoch over a tenth of the corpus: augmentation, optimizer and
all, without its validation. Where there is a CUDA device, an epoch over as many clips as production has.
"""

from benchmarks.bench import Bench, beside
from benchmarks.figures import Figure, Target, Values
from benchmarks.measure import Took

GPU_CLIPS = 3_010_770
OLD_CLIPS = 384


def measure(bench: Bench) -> list[Figure]:
    """On the CPU, and on a GPU if there is one."""
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
    return [figure, *_on_gpu(bench)]


def _on_gpu(bench: Bench) -> list[Figure]:
    """The baseline on one GPU: as it is trained there, and with the small batches that its preset names."""
    target, target_is = Target(150_000, "value", at_least=True), ">= 150,000 clips/s on one H200"
    figures = []
    for batch, overrides in (("batches enlarged", ()), ("batches of its preset", ("enlarge_batch=never",))):
        what = f"the baseline on one GPU, {batch}"
        taken = _epochs(bench, overrides)
        if taken[0].said["device"] is None:
            note = "not measured: no CUDA device here"
            return [Figure(what, "clips/s", (), target=target, target_is=target_is, note=note)]
        said = taken[0].said
        note = f"{said['device']}, {said['clips']:,} clips, {said['seconds']:.1f} s an epoch, {said['waits']} waits"
        idle = tuple(100.0 * each.said["idle_share"] for each in taken)
        figures += [
            Figure(what, "clips/s", _rates(taken), target=target, target_is=target_is, note=note),
            Figure("its idle share", "%", idle, target=Target(5.0, "value"), target_is="< 5 %"),
        ]
    return figures


def _epochs(bench: Bench, overrides: tuple[str, ...]) -> list[Took]:
    """A timed epoch a round; one call suffices to find that there is no device."""
    taken: list[Took] = []
    while len(taken) < bench.scale.repeats:
        taken.append(bench.call("library", "epoch", GPU_CLIPS, *overrides, env={"WANDB_MODE": "disabled"}))
        if taken[0].said["device"] is None:
            break
    return taken


def _rates(taken: list[Took]) -> Values:
    return tuple(each.said["clips"] / each.said["seconds"] for each in taken)
