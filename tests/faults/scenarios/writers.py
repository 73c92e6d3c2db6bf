"""Two to eight writers of the same partition at the same time, at times one of them killed: as if one had written."""

import random
import shutil
from collections.abc import Iterator

from tests.faults.lab import STATES, Lab, Subject, Tally, subjects

PLACE, WHOLE, SHORT = 4, 100, 1

MOST = 8


def run(lab: Lab, rounds: int, rng: random.Random) -> Iterator[Tally]:
    """Let writers of each verb loose on one data root, `rounds` times."""
    for subject in subjects().values():
        if subject.workers == 1:
            yield _together(lab, subject, rounds, rng)


def _together(lab: Lab, subject: Subject, rounds: int, rng: random.Random) -> Tally:
    tally = Tally(f"{subject.name}: 2 to {MOST} writers")
    for number in range(rounds):
        state = STATES[number % len(STATES)]
        whole = lab.whole(subject, state)
        count = 2 + number % (MOST - 1)
        kills = number % 2 == 1
        case = f"{state}, {count} writers{', one killed' if kills else ''}"
        root = lab.fresh_root(subject, state)
        children = [lab.start(subject.arguments(root), root) for _ in range(count)]
        if kills:
            children[0].wait(whole.seconds * rng.random())
            children[0].kill()
        ended = [child.end() for child in children]
        survivors = ended[1:] if kills else ended
        tally.tried += 1
        tally.count("writers", count)
        tally.count("killed", kills and ended[0].killed)
        wrong = [f"{one.code}: {one.errors[-300:]}" for one in survivors if one.code != 0]
        tally.expect(not wrong, f"{case}: {len(wrong)} failed, {wrong[:1]}")
        lab.check_readers(subject, root, whole, tally, case)
        if kills:
            lab.must(subject.arguments(root), root)  # takes away what the killed one left
        lab.check_end(subject, root, whole, tally, case)
        shutil.rmtree(root)
    return tally
