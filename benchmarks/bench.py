"""What every row is given: sizes, folders, and the processes that are measured."""

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmarks.corpus import EVENTS, make_corpus, make_manifest
from benchmarks.figures import Values
from benchmarks.measure import Took, take
from benchmarks.playing import COMPONENTS
from benchmarks.recordings import SOURCES, Size

_FRESH = "fresh-"
PROJECT = Path(__file__).resolve().parent.parent
REAL = PROJECT.parent / "shared/data/real_kits"
"""Recordings of two kits, `manifests/*.jsonl` and `raw/`; what needs them says so where they are absent."""
CPU_ONLY = {"WANDB_MODE": "disabled", "CUDA_VISIBLE_DEVICES": "", "OMP_WAIT_POLICY": "PASSIVE"}
"""Of every process that is measured; the last is what the platform sets for itself, so reference points get it too."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured.

    Attributes:
        corpus: The audio.
        events: Of the manifest that is as long as a production one.
        short_events: Of one that is shorter, for growth.
        old_lines: Lines that the old way reads.
        part: Every so many sessions make the part for the old way, training and the graph.
        mel_clips: Clips of the reference `mel`.
        net_clips: Clips of the references `model` and `forward`.
        repeats: Rounds of each row.
        graph_until: Last stage of the graph that the overhead is measured of.
        val_ratio: Of the data roots: small corpora need a greater one to have any.
        ear_sessions: Of each real kit, at most.
        ear_epochs: Passes over what the ear learns from.
        ear_seeds: Runs of each candidate for the ear.
    """

    corpus: Size
    events: int
    short_events: int
    old_lines: int
    part: int
    mel_clips: int
    net_clips: int
    repeats: int
    graph_until: str
    val_ratio: float
    ear_sessions: int
    ear_epochs: int
    ear_seeds: int


FULL = Scale(Size(100, 200), 3_010_770, 300_000, 100_000, 10, 20_000, 3_200, 3, "evaluation", 0.1, 1000, 5, 3)
TINY = Scale(Size(8, 8), 4_350, 3_480, 20, 1, 32, 32, 1, "ingest", 0.4, 6, 1, 1)
SCALES = {"full": FULL, "tiny": TINY}


class Bench:
    """One call of the suite.

    Args:
        data: Folder for everything that is made; it is kept, and found again by the next call.
        scale: How much.
        say: Told what happens.
        gpu_lines: Lines of `benchmarks.gpu` from another machine, for the row `gpu`; without them it runs here.
    """

    def __init__(self, data: Path, scale: Scale, say: Callable[[str], None] = print, gpu_lines: Path | None = None):
        self.data, self.scale, self.say, self.gpu_lines = data, scale, say, gpu_lines
        for left in data.glob(f"{_FRESH}*"):  # by a suite that was killed
            shutil.rmtree(left, ignore_errors=True)

    @cached_property
    def corpus(self) -> Path:
        """The corpus's folder."""
        return make_corpus(self.data, self.scale.corpus, self.say)

    @cached_property
    def manifest(self) -> Path:
        """The corpus's own manifest."""
        return self.corpus / EVENTS

    @cached_property
    def part(self) -> Path:
        """A manifest of every `scale.part`-th session; the corpus's own if that is all of them."""
        if self.scale.part == 1:
            return self.manifest
        per_session = self.scale.corpus.events
        lines = self.manifest.read_bytes().splitlines(keepends=True)
        path = self.corpus / "part.jsonl"
        chosen = b"".join(line for number, line in enumerate(lines) if number // per_session % self.scale.part == 0)
        if not path.exists() or path.read_bytes() != chosen:
            path.write_bytes(chosen)
        return path

    def long_manifest(self, events: int) -> Path:
        """A manifest of that many events over the corpus's audio."""
        return make_manifest(self.corpus, self.scale.corpus, events, self.say)

    def rounds(self, name: str) -> Iterator[int]:
        """The rounds of a row; says where it is."""
        for number in range(self.scale.repeats):
            self.say(f"{name}: round {number + 1} of {self.scale.repeats}")
            yield number

    def root(self, name: str) -> Path:
        """A data root that is kept."""
        root = self.data / "roots" / f"{name}-{self.scale.corpus.name}"
        self._settle(root)
        return root

    @contextlib.contextmanager
    def fresh_folder(self) -> Iterator[Path]:
        """An empty folder on the same drive, gone afterwards."""
        self.data.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=_FRESH, dir=self.data))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def fresh_root(self) -> Iterator[Path]:
        """An empty data root, gone afterwards."""
        with self.fresh_folder() as root:
            self._settle(root)
            yield root

    def verb(
        self,
        root: Path,
        *words: str | Path,
        cache: Path | None = None,
        allowed: Iterable[int] = (0,),
        imports: str = "",
    ) -> Took:
        """A verb as a user runs it, its start included.

        Args:
            root: The data root.
            words: The verb and its arguments.
            cache: Folder of the feature cache, if not the data root's own.
            allowed: Exit codes that are a result.
            imports: What the verb would import late. The process then does the same work in another order, and the
                `seconds` that it says of itself are without these imports: what a call of the library takes.

        Raises:
            RuntimeError: It failed.
        """
        code = f"import {imports}\nimport beatsight_core.cli.main as cli; cli.main()"
        command = [sys.executable, "-c", code] if imports else [Path(sys.executable).with_name("beatsight")]
        env = {**CPU_ONLY, **({"BEATSIGHT_CACHE_DIR": str(cache)} if cache else {})}
        took = take([*command, *words, "--data-root", root, "--json"], env=env, allowed=allowed)
        if not took.said:  # an exit code that is allowed is also that of a crash
            raise RuntimeError(f"{' '.join(map(str, words))} printed no result")
        return took

    def program(self, module: str, *words: str | Path) -> Took:
        """A module of the project as a program."""
        return take([sys.executable, "-m", module, *words], env=CPU_ONLY)

    def call(self, module: str, name: str, *words: str | Path | int, env: dict[str, str] | None = None) -> Took:
        """A function of `benchmarks/<module>.py` in a process of its own; `said["seconds"]` is what it timed."""
        command = [sys.executable, "-m", f"benchmarks.{module}", name, *map(str, words)]
        return take(command, env=CPU_ONLY if env is None else env, folder=PROJECT)

    def reference(self, name: str, *words: str | Path | int) -> Took:
        """A reference point (see reference.py)."""
        return self.call("reference", name, *words)

    @cached_property
    def ready(self) -> Path:
        """A data root with the whole corpus and the part exported, and features of both."""
        root = self.root("ready")
        self.say("dataset and features of the corpus")
        for manifest in {self.manifest, self.part}:
            self.verb(root, "export", manifest)
            self.verb(root, "features", manifest, "--device", "cpu")
        return root

    @cached_property
    def old_wavs(self) -> Path:
        """What the old way exports of the part."""
        return self._old("export", self.part, self.corpus / "raw")

    @cached_property
    def old_pictures(self) -> Path:
        """What the old way makes of that."""
        return self._old("features", self.old_wavs)

    def _old(self, name: str, *words: Path) -> Path:
        folder = self.data / f"old-{name}-{self.scale.corpus.name}"
        self.say(f"the old way: {name}")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.call("old_way", name, *words, folder)
        return folder

    def _settle(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        tables = [f'[sources.{source.name}]\nroots = ["{self.corpus / "raw" / source.name}"]\n' for source in SOURCES]
        counts = ", ".join(f"{label} = 0" for label in COMPONENTS)  # no gate shall stop a graph over a part of it
        values = (
            f'[dataset]\nval_ratio = {self.scale.val_ratio}\n[gates]\nprofile = "demo"\nmin_counts = {{ {counts} }}\n'
        )
        (root / "beatsight.toml").write_text("\n".join([*tables, values]))


def seconds(taken: Sequence[Took]) -> Values:
    """Of whole processes."""
    return tuple(each.seconds for each in taken)


def inner_seconds(taken: Sequence[Took]) -> Values:
    """That the processes timed themselves: without start and imports."""
    return tuple(float(each.said["seconds"]) for each in taken)


def largest_mib(taken: Sequence[Took]) -> Values:
    """Memory of the largest process of each."""
    return tuple(each.largest_mib for each in taken)


def beside(taken: Sequence[Took]) -> dict[str, float]:
    """Medians of CPU time and memory, for a figure's `beside`."""
    middle = len(taken) // 2
    return {
        "cpu_seconds": sorted(each.cpu_seconds for each in taken)[middle],
        "largest_process_mib": sorted(each.largest_mib for each in taken)[middle],
        "all_processes_mib": sorted(each.together_mib for each in taken)[middle],
    }
