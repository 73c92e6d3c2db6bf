"""A release that is killed or finds a bad drive: the champion is the old one or the new one, whole, and so is the pair.

Killed, the same command ends in what an undisturbed one leaves; an archive is there whole or not at all.
"""

import random
from collections.abc import Iterator

from tests.faults.lab import Lab, Tally
from tests.faults.scenarios import disk_full, kills
from tests.faults.subjects.release import ARCHIVE, FIRST, PROMOTION, ROLLBACK, SECOND

PLACE, WHOLE, SHORT = 5, 40, 1


def run(lab: Lab, rounds: int, rng: random.Random) -> Iterator[Tally]:
    """Kill each verb `rounds` times at random and once at each step; and let the drive fail under it.

    The short form leaves the promotion out, which the tests of its room kill before each of its commits.
    """
    whole = rounds >= WHOLE
    for subject, states in ((ROLLBACK, (SECOND,)), (ARCHIVE, (SECOND,)), (PROMOTION, (SECOND, FIRST))):
        if whole:
            yield kills.at_random(lab, subject, states, rounds, rng)
        if whole or subject is not PROMOTION:
            yield kills.at_steps(lab, subject, states, whole, rng)
        if whole:
            yield from disk_full.of_subject(lab, subject, max(rounds // 8, 1), rng, whole=True)
