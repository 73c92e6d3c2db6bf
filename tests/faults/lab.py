"""Where scenarios work: a corpus, a nursery, data roots in a given state, and what an undisturbed run makes of them."""

import contextlib
import hashlib
import importlib
import os
import pkgutil
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from beatsight_core.settings import Settings, load_settings
from tests.faults.corpus import Corpus, make_corpus
from tests.faults.nursery import Child, Ended, Nursery

STATES = ("fresh", "resettled", "grown")
"""What there may be before a verb: nothing; the work of other settings; the work of a shorter manifest of that name."""

MANIFEST = "takes.jsonl"

View = Mapping[str, str | None]
"""What readers find: name of a thing -> digest of what it holds, None if it is not there."""

_VOLATILE = re.compile(r"\.locks/|\.digests/|\.digests\.jsonl$|/inventory\.(json|parquet)$")
"""Files that may differ between runs that end alike: locks, and what is known so far of the state of other files."""


_OWN = re.compile(rb'"(manifest|seal)": "[^"]*"')


class DamagedError(Exception):
    """A reader found something torn."""


class Subject(Protocol):
    """What is hurt. A module or object with these.

    Attributes:
        name: In reports.
        workers: Processes that it works with.
    """

    name: str
    workers: int

    def arguments(self, root: Path) -> list[str]:
        """The verb, as typed."""

    def prepare(self, lab: "Lab", root: Path, state: str) -> None:
        """Bring a data root into the state before the verb."""

    def look(self, settings: Settings) -> View:
        """What readers find. Raises `DamagedError`."""

    def pieces(self, root: Path) -> list[Path]:
        """The committed pieces of the work, of which none may be lost or made again."""

    def under_way(self, root: Path) -> list[Path]:
        """Pieces that a killed run left unfinished."""

    def content(self, root: Path) -> Mapping[str, str]:
        """What must be the same whichever way it came about: of most, `content` of this file."""


@dataclass(frozen=True)
class Whole:
    """An undisturbed run.

    Attributes:
        before: What readers found before it.
        after: And after it.
        content: Path -> digest of every file that then lies in the root.
        pieces: How many pieces the work has.
        bytes: That it added.
        seconds: The median of a few runs.
        steps: Names of its steps.
    """

    before: View
    after: View
    content: Mapping[str, str]
    pieces: int
    bytes: int
    seconds: float
    steps: tuple[str, ...]


@dataclass
class Tally:
    """One line of a report.

    Attributes:
        what: Was tried.
        tried: How often.
        failures: What did not hold, in words.
        figures: Further counts by name.
    """

    what: str
    tried: int = 0
    failures: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def count(self, name: str, number: float = 1) -> None:
        """Add to a figure."""
        self.figures[name] = self.figures.get(name, 0) + number

    def expect(self, holds: bool, otherwise: str) -> bool:
        """Note a failure unless something holds."""
        if not holds:
            self.failures.append(otherwise)
        return holds


class Lab:
    """Everything a scenario needs.

    Args:
        folder: To work in.
        corpus: What is exported.
        nursery: Gives children.
        runs: Undisturbed runs that a duration is the median of.
    """

    def __init__(self, folder: Path, corpus: Corpus, nursery: Nursery, runs: int = 3):
        self.folder, self.corpus, self.nursery = folder, corpus, nursery
        self._runs = runs
        self._count = 0
        self._wholes: dict[tuple[str, str], Whole] = {}

    def fresh_root(self, subject: Subject, state: str, place: Path | None = None) -> Path:
        """A data root in the state before a verb: a copy of one that was made once."""
        template = self.folder / "templates" / f"{subject.name}-{state}".replace(" ", "-")
        if not template.exists():
            making = template.with_name("making")
            shutil.rmtree(making, ignore_errors=True)
            subject.prepare(self, making, state)
            making.rename(template)
        root = place or self.new_folder()
        shutil.copytree(template, root, symlinks=True)
        return root

    def new_folder(self) -> Path:
        """A path for a data root."""
        self._count += 1
        return self.folder / "roots" / f"{self._count:06d}"

    def start(self, arguments: Sequence[str], root: Path, **how: Any) -> Child:
        """Start a verb on a data root."""
        environment = {"BEATSIGHT_DATA_ROOT": str(root), "BEATSIGHT_LEASE_DIR": str(self.folder / "leases")}
        plan = how.pop("plan", None)
        if plan is not None:
            plan = {"folder": str(root), **plan}
        return self.nursery.start(arguments, environment, plan=plan, **how)

    def run(self, arguments: Sequence[str], root: Path, **how: Any) -> Ended:
        """Run a verb to its end."""
        return self.start(arguments, root, **how).end()

    def must(self, arguments: Sequence[str], root: Path) -> Ended:
        """Run a verb that has no reason to fail."""
        ended = self.run(arguments, root)
        if ended.code != 0:
            raise RuntimeError(f"beatsight {' '.join(arguments)} ended with {ended.code}: {ended.errors}")
        return ended

    def whole(self, subject: Subject, state: str) -> Whole:
        """What an undisturbed run from a state makes; measured once."""
        known = self._wholes.get((subject.name, state))
        if known is None:
            known = self._measure(subject, state)
            self._wholes[subject.name, state] = known
        return known

    def _measure(self, subject: Subject, state: str) -> Whole:
        root = self.fresh_root(subject, state)
        before, held = subject.look(settings_of(root)), disk_bytes(root)
        ended = self.run(subject.arguments(root), root, plan={})
        if ended.code != 0:
            raise RuntimeError(f"{subject.name} from {state} ended with {ended.code}: {ended.errors}")
        whole = Whole(
            before=before,
            after=subject.look(settings_of(root)),
            content=subject.content(root),
            pieces=len(subject.pieces(root)),
            bytes=disk_bytes(root) - held,
            seconds=self._duration(subject, state, ended.seconds),
            steps=ended.steps,
        )
        shutil.rmtree(root)
        return whole

    def _duration(self, subject: Subject, state: str, first: float) -> float:
        seconds = [first]
        while len(seconds) < self._runs:
            root = self.fresh_root(subject, state)
            seconds.append(self.must(subject.arguments(root), root).seconds)
            shutil.rmtree(root)
        return sorted(seconds)[len(seconds) // 2]

    def check_readers(self, subject: Subject, root: Path, whole: Whole, tally: Tally, case: str) -> None:
        """Readers find the old or the new, or nothing where there was nothing."""
        try:
            found = subject.look(settings_of(root))
        except DamagedError as torn:
            tally.failures.append(f"{case}: torn: {torn}")
            return
        for name, digest in found.items():
            allowed = {whole.before.get(name), whole.after.get(name)}
            if name.startswith("catalog"):
                allowed.add(None)  # for the instant in which one folder takes another's place
            tally.expect(digest in allowed, f"{case}: {name} is neither the old nor the new")

    def check_end(self, subject: Subject, root: Path, whole: Whole, tally: Tally, case: str) -> None:
        """What is on the drive in the end equals, file by file, what an undisturbed run leaves."""
        found = subject.content(root)
        wrong = sorted(name for name in {*found, *whole.content} if found.get(name) != whole.content.get(name))
        tally.expect(not wrong, f"{case}: differs in the end: {', '.join(wrong[:4])}")


def settings_of(root: Path) -> Settings:
    """The settings of a data root, without those of the environment."""
    return load_settings(root, environment={})


def content(root: Path) -> dict[str, str]:
    """Path -> digest of every file of a root that must be the same whichever way it came about."""
    return {
        name: _digest(path)
        for path in sorted(root.rglob("*"))
        if path.is_file() and not _VOLATILE.search(name := path.relative_to(root).as_posix())
    }


def digests(paths: Sequence[Path]) -> dict[Path, str]:
    """Path -> digest of its bytes."""
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def disk_bytes(root: Path) -> int:
    """What a folder's files and folders take on a drive of 4 KiB blocks."""
    return sum(-(-path.lstat().st_size // 4096) * 4096 for path in root.rglob("*"))


def _digest(path: Path) -> str:
    data = path.read_bytes()
    if path.name == "summary.json":  # says where the manifest lies, and is sealed with that
        data = _OWN.sub(b"", data)
    return hashlib.sha256(data).hexdigest()


MEMORY = Path("/dev/shm")
"""Where labs work unless told otherwise: what is killed, filled and flipped there needs no drive."""


@contextmanager
def open_lab(folder: Path | None = None, *, files: int = 36, runs: int = 3) -> Iterator[Lab]:
    """A lab in a folder of its own, which is removed at the end."""
    where = folder or (MEMORY if os.access(MEMORY, os.W_OK) else None)
    place = Path(tempfile.mkdtemp(prefix="beatsight-faults-", dir=where))
    try:
        corpus = make_corpus(place / "audio", files=files)
        with Nursery(place / "children") as nursery:
            yield Lab(place, corpus, nursery, runs)
    finally:
        shutil.rmtree(place, ignore_errors=True)
        remove_semaphores()


def remove_semaphores() -> int:
    """Remove the semaphores of multiprocessing that nobody uses: who is killed with all its helpers leaves some."""
    left = {path for path in MEMORY.glob("sem.mp-*") if path.stat().st_uid == os.getuid()}
    mapped = set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with contextlib.suppress(OSError):
            mapped |= {line.rpartition(" ")[2] for line in maps.read_text().splitlines() if "/sem.mp-" in line}
    unused = [path for path in left if str(path) not in mapped and time.time() - path.stat().st_mtime > UNUSED_S]
    for path in unused:
        path.unlink(missing_ok=True)
    return len(unused)


UNUSED_S = 60.0
"""Semaphores younger than this may be about to be used."""


@cache
def subjects() -> dict[str, Subject]:
    """All subjects of `subjects/`, by name."""
    found: list[Subject] = []
    for module in _modules("tests.faults.subjects"):
        found += module.SUBJECTS
    return {subject.name: subject for subject in found}


@cache
def scenarios() -> dict[str, Any]:
    """All scenarios of `scenarios/`: modules with `PLACE`, rounds `WHOLE` and `SHORT`, and `run(lab, rounds, rng)`."""
    found = {module.__name__.rpartition(".")[2]: module for module in _modules("tests.faults.scenarios")}
    return dict(sorted(found.items(), key=lambda entry: entry[1].PLACE))


def _modules(package: str) -> list[Any]:
    folder = importlib.import_module(package)
    names = sorted(module.name for module in pkgutil.iter_modules(folder.__path__))
    return [importlib.import_module(f"{package}.{name}") for name in names]


def wait_until(moment: float) -> None:
    """Sleep until a moment of the monotonic clock."""
    if (left := moment - time.monotonic()) > 0:
        time.sleep(left)
