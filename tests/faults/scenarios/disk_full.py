"""A drive that is full, fails, is read-only or forbidden: the work ends with 4 and says why, and what was there stays.

Once there is room again, the same command ends with the same bytes as a run that nobody disturbed.
"""

import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.faults.drives import may_mount, resize, set_read_only, small_drive, used_bytes
from tests.faults.lab import STATES, Lab, Subject, Tally, Whole, settings_of, subjects
from tests.faults.nursery import Ended
from tests.faults.steps import FILLER

PLACE, WHOLE, SHORT = 2, 20, 1

ROOMY = 256 << 20
ERRORS = ("EIO", "ENOSPC", "EACCES", "EROFS")
LEAST_FILE = 2048
"""Bytes that a child may always write, so that it can say what is wrong."""


def run(lab: Lab, rounds: int, rng: random.Random) -> Iterator[Tally]:
    """Try `rounds` fill levels of each kind on each verb, and as many failing steps for each error."""
    whole = rounds >= WHOLE
    for subject in subjects().values():
        if subject.workers <= (2 if whole else 1):  # more workers meet the same errors
            yield from of_subject(lab, subject, rounds, rng, whole=whole)


def of_subject(lab: Lab, subject: Subject, rounds: int, rng: random.Random, *, whole: bool) -> Iterator[Tally]:
    """The same for one verb."""
    states = STATES if whole else STATES[:1]
    if may_mount():
        yield _small(lab, subject, rounds)
        yield _filled(lab, subject, rounds)
        yield _read_only(lab, subject, states)
    yield _file_limits(lab, subject, rounds)
    yield _forbidden(lab, subject, states)
    for error in ERRORS if whole else ERRORS[:1]:
        yield _failing_steps(lab, subject, error, rounds, rng)


def _small(lab: Lab, subject: Subject, rounds: int) -> Tally:
    """The drive was too small to begin with."""
    tally = Tally(f"{subject.name}: small drive")
    for number in range(rounds):
        whole = lab.whole(subject, state := _state(number))
        with _drive(lab, subject, state) as root:
            resize(root.parent, max(used_bytes(root.parent) + _level(number, rounds, whole.bytes), 4096))
            ended = lab.run(subject.arguments(root), root)
            _after_failure(lab, subject, whole, root, ended, tally, f"{state}, level {number} of {rounds}")
            resize(root.parent, ROOMY)
            _after_mending(lab, subject, whole, root, tally, f"{state}, level {number} of {rounds}")
    return tally


def _filled(lab: Lab, subject: Subject, rounds: int) -> Tally:
    """Something else fills the drive while the verb works, so that no look ahead helps."""
    tally = Tally(f"{subject.name}: drive filled meanwhile")
    for number in range(rounds):
        whole = lab.whole(subject, state := _state(number))
        with _drive(lab, subject, state) as root:
            left = _level(number, rounds, whole.bytes) // 4096 * 4096
            at = 1 + number * len(whole.steps) // rounds
            plan = {"at": at, "act": f"fill:{left}"}
            ended = lab.run(subject.arguments(root), root, plan=plan)
            _after_failure(lab, subject, whole, root, ended, tally, f"{state}, {left} bytes left at step {at}")
            (root / FILLER).unlink(missing_ok=True)
            _after_mending(lab, subject, whole, root, tally, f"{state}, {left} bytes left at step {at}")
    return tally


def _read_only(lab: Lab, subject: Subject, states: Sequence[str]) -> Tally:
    tally = Tally(f"{subject.name}: read-only drive")
    for state in states:
        whole = lab.whole(subject, state)
        with _drive(lab, subject, state) as root:
            set_read_only(root.parent, True)
            ended = lab.run(subject.arguments(root), root)
            _after_failure(lab, subject, whole, root, ended, tally, state)
            set_read_only(root.parent, False)
            _after_mending(lab, subject, whole, root, tally, state)
    return tally


def _file_limits(lab: Lab, subject: Subject, rounds: int) -> Tally:
    """A limit on the size of a file cuts a write short, then refuses the next."""
    tally = Tally(f"{subject.name}: short write at a size limit")
    for number in range(rounds):
        whole = lab.whole(subject, state := _state(number))
        root = lab.fresh_root(subject, state)
        limit = LEAST_FILE + number * 1024
        ended = lab.run(subject.arguments(root), root, file_bytes=limit)
        _after_failure(lab, subject, whole, root, ended, tally, f"{state}, files of {limit} bytes at most")
        _after_mending(lab, subject, whole, root, tally, f"{state}, files of {limit} bytes at most")
        shutil.rmtree(root)
    return tally


def _forbidden(lab: Lab, subject: Subject, states: Sequence[str]) -> Tally:
    """Folders that may be read but not written."""
    tally = Tally(f"{subject.name}: folders without permission to write")
    for state in states:
        whole = lab.whole(subject, state)
        root = lab.fresh_root(subject, state)
        folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
        for folder in folders:
            folder.chmod(0o555)
        ended = lab.run(subject.arguments(root), root, obey_modes=True)
        _after_failure(lab, subject, whole, root, ended, tally, state)
        for folder in folders:
            folder.chmod(0o755)
        _after_mending(lab, subject, whole, root, tally, state)
        shutil.rmtree(root)
    return tally


def _failing_steps(lab: Lab, subject: Subject, error: str, rounds: int, rng: random.Random) -> Tally:
    """A step fails, once or from then on."""
    tally = Tally(f"{subject.name}: {error} at a step")
    for number in range(rounds):
        whole = lab.whole(subject, state := _state(number))
        root = lab.fresh_root(subject, state)
        at = rng.randint(1, len(whole.steps))
        lasting = bool(number % 2)
        ended = lab.run(subject.arguments(root), root, plan={"at": at, "act": f"error:{error}", "lasting": lasting})
        case = f"{state}, {'from' if lasting else 'only'} step {at} ({whole.steps[at - 1]})"
        _after_failure(lab, subject, whole, root, ended, tally, case)
        _after_mending(lab, subject, whole, root, tally, case)
        shutil.rmtree(root)
    return tally


def _after_failure(lab: Lab, subject: Subject, whole: Whole, root: Path, ended: Ended, tally: Tally, case: str) -> None:
    tally.tried += 1
    tally.expect(ended.code in (0, 4), f"{case}: ended with {ended.code}: {ended.errors[-400:]}")
    if ended.code == 0:
        tally.count("went through")
        found = dict(subject.look(settings_of(root)))
        tally.expect(found == dict(whole.after), f"{case}: ended with 0 and left something else")
    else:
        tally.count("refused")
        said = [line for line in ended.errors.splitlines() if line.startswith("Error: ")]
        tally.expect(len(said) == 1 and "What to do: " in said[0], f"{case}: says {ended.errors[-400:]!r}")
        tally.expect("Traceback" not in ended.errors, f"{case}: shows a traceback: {ended.errors[-400:]}")
    lab.check_readers(subject, root, whole, tally, case)


def _after_mending(lab: Lab, subject: Subject, whole: Whole, root: Path, tally: Tally, case: str) -> None:
    again = lab.run(subject.arguments(root), root)
    tally.expect(again.code == 0, f"{case}: the next run ended with {again.code}: {again.errors[-400:]}")
    lab.check_end(subject, root, whole, tally, case)


@contextmanager
def _drive(lab: Lab, subject: Subject, state: str) -> Iterator[Path]:
    """A data root on a drive of its own."""
    with small_drive(lab.new_folder(), ROOMY) as place:
        yield lab.fresh_root(subject, state, place / "root")


def _state(number: int) -> str:
    return STATES[number % len(STATES)]


def _level(number: int, rounds: int, needed: int) -> int:
    """Bytes that are left: from nothing to almost enough."""
    return needed * number // rounds
