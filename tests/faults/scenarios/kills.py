"""kill -9 of a verb and its workers, at random moments and before each of its steps on the drive.

Readers then find the old or the new, never something torn. The same command, run again, keeps every committed piece,
makes again at most one per worker, and ends with the same bytes as a run that nobody disturbed.
"""

import random
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.faults.lab import STATES, Lab, Subject, Tally, digests, subjects, wait_until

PLACE, WHOLE, SHORT = 1, 200, 2


def run(lab: Lab, rounds: int, rng: random.Random) -> Iterator[Tally]:
    """Kill each verb `rounds` times at random; an export's rounds are shared among its numbers of workers."""
    whole = rounds >= WHOLE
    groups: dict[str, list[Subject]] = {}
    for subject in subjects().values():
        if whole or subject.workers <= 2:
            groups.setdefault(subject.name.partition(",")[0], []).append(subject)
    for group in groups.values():
        for place, subject in enumerate(group):
            share = len(range(place, rounds, len(group)))
            states = STATES if whole else STATES[:1]
            yield at_random(lab, subject, states, share, rng)
            yield at_steps(lab, subject, states, whole, rng)


def at_random(lab: Lab, subject: Subject, states: Sequence[str], rounds: int, rng: random.Random) -> Tally:
    """At moments spread over its whole duration."""
    tally = Tally(f"{subject.name}: killed at a random moment")
    for number in range(rounds):
        state = states[number % len(states)]
        whole = lab.whole(subject, state)
        moment = whole.seconds * (number + rng.random()) / rounds  # spread evenly over its whole duration
        root = lab.fresh_root(subject, state)
        child = lab.start(subject.arguments(root), root)
        wait_until(time.monotonic() + moment)
        child.kill()
        ended = child.end()
        _after(lab, subject, state, root, tally, f"{state}, after {moment:.3f} s")
        tally.count("while it worked", ended.killed)
    return tally


def at_steps(lab: Lab, subject: Subject, states: Sequence[str], whole: bool, rng: random.Random) -> Tally:
    """Before every step; in the short form, before two."""
    tally = Tally(f"{subject.name}: killed before each step")
    names = set()
    for state in states:
        steps = lab.whole(subject, state).steps
        places = range(1, len(steps) + 1)
        chosen = [at for at in places if not _is_repeated(steps, at, 1 if subject.workers > 1 else 2)]
        for at in chosen if whole else rng.sample(places, 2 // subject.workers):
            root = lab.fresh_root(subject, state)
            ended = lab.run(subject.arguments(root), root, plan={"at": at})
            _after(lab, subject, state, root, tally, f"{state}, before step {at} ({steps[at - 1]})")
            tally.count("while it worked", ended.killed)
            names.add(steps[at - 1])
    tally.figures["different steps"] = len(names)
    return tally


def _is_repeated(steps: tuple[str, ...], at: int, times: int) -> bool:
    """Whether the same step was taken so often before: what is true of two shards is true of the third."""
    return steps[: at - 1].count(steps[at - 1]) >= times


def _after(lab: Lab, subject: Subject, state: str, root: Path, tally: Tally, case: str) -> None:
    """What must hold after a kill."""
    tally.tried += 1
    whole = lab.whole(subject, state)
    lab.check_readers(subject, root, whole, tally, case)
    kept, under_way = _marks(subject.pieces(root)), len(subject.under_way(root))
    again = lab.run(subject.arguments(root), root)
    tally.expect(again.code == 0, f"{case}: the next run ended with {again.code}: {again.errors[-300:]}")
    after = _marks(subject.pieces(root))
    lost = [path for path, mark in kept.items() if after.get(path) != mark]
    tally.expect(not lost, f"{case}: {len(lost)} of {len(kept)} committed pieces were lost or made again")
    if after:
        tally.expect(under_way <= subject.workers, f"{case}: {under_way} pieces were under way")
        tally.count("pieces kept", len(kept))
        tally.figures["most under way"] = max(tally.figures.get("most under way", 0), under_way)
    lab.check_end(subject, root, whole, tally, case)
    shutil.rmtree(root)


def _marks(paths: list[Path]) -> dict[Path, tuple[str, int]]:
    """What a file holds, and which file it is: one that was made again is another."""
    return {path: (digest, path.stat().st_ino) for path, digest in digests(paths).items()}
