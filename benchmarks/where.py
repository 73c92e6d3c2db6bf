"""Where the time of a verb goes: `python -m benchmarks.where export` prints the functions it was seen in.

The verb runs in this process and with one worker, and is looked at two hundred times a second: what counts is the
innermost function of the project in each thread that is at work. Native code (decoding, hashing, tensors, Parquet)
counts for the function that called it.
"""

import argparse
import os
import sys
import threading
from collections import Counter
from pathlib import Path
from types import FrameType

import click

from benchmarks.bench import CPU_ONLY, PROJECT, SCALES, Bench
from benchmarks.run import DATA

EVERY_S = 0.005
SHOWN = 20
WAITING = {"wait", "get", "_worker", "select", "poll", "acquire", "result", "wait_for", "accept", "join"}

Place = tuple[str, str]


class Sampler(threading.Thread):
    """Counts where threads are, until stopped. `seen` maps (file, function) to looks."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._done = threading.Event()
        self.seen: Counter[Place] = Counter()

    def run(self) -> None:
        """Look at all other threads until stopped."""
        while not self._done.wait(EVERY_S):
            for thread, frame in sys._current_frames().items():
                if thread != self.ident and frame.f_code.co_name not in WAITING:
                    self.seen[_place(frame)] += 1

    def stop(self) -> None:
        """Look no more."""
        self._done.set()
        self.join()


def _place(frame: FrameType | None) -> Place:
    core = str(PROJECT / "beatsight_core")
    while frame is not None:
        if frame.f_code.co_filename.startswith(core):
            path = Path(frame.f_code.co_filename).relative_to(PROJECT / "beatsight_core")
            return str(path), frame.f_code.co_name
        frame = frame.f_back
    return "-", "elsewhere"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=VERBS)
    parser.add_argument("--data", type=Path, default=DATA, help="as for benchmarks.run")
    given = parser.parse_args()
    bench = Bench(given.data.absolute(), SCALES["full"], lambda line: print(line, file=sys.stderr))
    with bench.fresh_root() as fresh:
        settings = fresh / "beatsight.toml"
        settings.write_text(settings.read_text().replace("[dataset]", "[dataset]\nworkers = 1"))
        root, words = VERBS[given.verb](bench, fresh)
        os.environ |= {"BEATSIGHT_METRICS_DIR": str(fresh / "metrics"), **CPU_ONLY}
        if given.verb == "features":
            os.environ["BEATSIGHT_CACHE_DIR"] = str(fresh / "features")
        report(looked_at([*map(str, words), "--data-root", str(root), "--json"]))


def looked_at(words: list[str]) -> Counter[Place]:
    """Run a verb and count where it was."""
    from beatsight_core.cli.main import beatsight

    sampler = Sampler()
    sampler.start()
    try:
        beatsight.main(words, standalone_mode=False)
    except (SystemExit, click.exceptions.Exit):
        pass
    finally:
        sampler.stop()
    return sampler.seen


def report(seen: Counter[Place]) -> None:
    """Print shares, the greatest first."""
    total = seen.total()
    print(f"{total * EVERY_S:.1f} thread seconds were seen")
    for (file, function), count in seen.most_common(SHOWN):
        print(f"{count / total:6.1%}  {file:32} {function}")


Words = tuple[Path, list[str | Path]]


def _catalog(bench: Bench, fresh: Path) -> Words:
    return fresh, ["manifest", "check", bench.long_manifest(bench.scale.events)]


def _health(bench: Bench, fresh: Path) -> Words:
    root, manifest = bench.root("health"), bench.long_manifest(bench.scale.events)
    bench.verb(root, "health", manifest, allowed=(0, 1))  # catalog and inventory are there afterwards
    return root, ["health", manifest]


def _export(bench: Bench, fresh: Path) -> Words:
    return fresh, ["export", bench.manifest]


def _features(bench: Bench, fresh: Path) -> Words:
    return bench.ready, ["features", bench.manifest, "--device", "cpu"]


def _train(bench: Bench, fresh: Path) -> Words:
    return bench.ready, ["train", bench.part, "--set", "epochs=1", "--device", "cpu", "--fresh"]


def _evaluate(bench: Bench, fresh: Path) -> Words:
    run = bench.verb(bench.ready, "train", bench.part, "--set", "epochs=1", "--device", "cpu").said["run_id"]
    return bench.ready, ["evaluate", run, "--on", bench.manifest, "--split", "all", "--device", "cpu"]


VERBS = {
    "catalog": _catalog,
    "health": _health,
    "export": _export,
    "features": _features,
    "train": _train,
    "evaluate": _evaluate,
}


if __name__ == "__main__":
    main()
