"""The feature cache of the whole corpus, built from its shards into an empty folder."""

from benchmarks.bench import Bench, beside, inner_seconds, seconds
from benchmarks.figures import Figure, Target
from benchmarks.measure import Took


def measure(bench: Bench) -> list[Figure]:
    """Time of the library's call against the mel transform alone, time of the verb, and bytes."""
    scale, root = bench.scale, bench.root("ready")
    clips = bench.verb(root, "export", bench.manifest).said["hits"]
    took: dict[str, list[Took]] = {name: [] for name in ("mel", "features", "again", "old")}
    sizes: list[float] = []
    for _ in bench.rounds("features"):
        took["mel"].append(bench.reference("mel", scale.mel_clips))
        with bench.fresh_folder() as cache:
            words = ("features", bench.manifest, "--device", "cpu")
            imports = "beatsight_core.features.logmel, beatsight_core.features.mel_transform as m; m.transforms()"
            took["features"].append(bench.verb(root, *words, cache=cache, imports=imports))
            took["again"].append(bench.verb(root, *words, cache=cache))
            sizes.append(sum(path.stat().st_size for path in cache.rglob("*") if path.is_file()) / 1e6)
        with bench.fresh_folder() as pictures:
            took["old"].append(bench.call("old_way", "features", bench.old_wavs, pictures))
    # Both for as many clips as the dataset has.
    mel = tuple(each.said["seconds"] * clips / each.said["clips"] for each in took["mel"])
    old = tuple(each.said["seconds"] * scale.part for each in took["old"])
    return [
        Figure(f"features of {clips:,} clips", "s", inner_seconds(took["features"]), mel, "mel", old, Target(1.4),
               "<= 1.4 x mel", f"the library's call; old way: 1/{scale.part} of it, scaled", beside(took["features"])),
        Figure("the verb, from its start to its end", "s", seconds(took["features"]), mel, "mel",
               note="starting Python and torch included"),
        Figure("the verb when all is there", "s", seconds(took["again"])),
        Figure("the cache's size", "MB", tuple(sizes), target=Target(150.0, "value"), target_is="<= 150 MB"),
    ]  # fmt: skip
