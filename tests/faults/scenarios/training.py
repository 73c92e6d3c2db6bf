"""Training that is killed, starved of room, or finds checkpoints rotten: it ends in the weights of an undisturbed run.

Weights, moments, averages, history and learning rates are compared bit for bit, on the CPU.
"""

import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from tests.faults.lab import STATES, Lab, Tally, wait_until
from tests.faults.scenarios import disk_full, kills
from tests.faults.subjects.training import BY_EPOCH, BY_TIME, TrainingSubject

PLACE, WHOLE, SHORT = 4, 60, 2

STATE = STATES[0]
ROTTING = ("checkpoints/epoch-*.pt", "checkpoints/*.sha256", "checkpoints/latest", "checkpoints/best.pt",
           "history.jsonl")  # fmt: skip


def run(lab: Lab, rounds: int, rng: random.Random) -> Iterator[Tally]:
    """Kill `rounds` times at random, as often in a row, and once at each step; as many rotten files."""
    whole = rounds >= WHOLE
    states = STATES if whole else STATES[:1]
    yield kills.at_random(lab, BY_EPOCH, states, rounds, rng)
    yield _in_a_row(lab, BY_TIME, rounds, rng)
    yield kills.at_steps(lab, BY_EPOCH, states[:1], whole, rng)
    yield from disk_full.of_subject(lab, BY_EPOCH, max(rounds // 3, 1), rng, whole=whole)
    yield _rot(lab, BY_TIME, rounds, rng)


def _in_a_row(lab: Lab, subject: TrainingSubject, rounds: int, rng: random.Random) -> Tally:
    """One run, killed again and again, which goes on each time; another one when it is done."""
    tally = Tally(f"{subject.name}: one run killed again and again")
    whole = lab.whole(subject, STATE)
    while tally.tried < rounds:
        root = lab.fresh_root(subject, STATE)
        in_this_run = 0
        while True:
            child = lab.start(subject.arguments(root), root)
            if tally.tried < rounds:
                wait_until(time.monotonic() + whole.seconds * rng.uniform(0.2, 1.0))
                child.kill()
            ended = child.end()
            if not ended.killed:
                break
            tally.tried += 1
            in_this_run += 1
        tally.expect(ended.code == 0, f"after {in_this_run} kills it ended with {ended.code}: {ended.errors[-300:]}")
        lab.check_end(subject, root, whole, tally, f"after {in_this_run} kills")
        tally.count("runs")
        tally.figures["most kills of one run"] = max(tally.figures.get("most kills of one run", 0), in_this_run)
        shutil.rmtree(root)
    return tally


def _rot(lab: Lab, subject: TrainingSubject, rounds: int, rng: random.Random) -> Tally:
    """A run that was killed half-way finds a file of its own with a bit flipped, cut short, or gone."""
    tally = Tally(f"{subject.name}: a file rots between two sittings")
    whole = lab.whole(subject, STATE)
    saved = [at for at, name in enumerate(whole.steps, 1) if name.startswith("rename") and "/latest" in name]
    half_way = saved[len(saved) // 2]
    template = lab.fresh_root(subject, STATE)
    lab.run(subject.arguments(template), template, plan={"at": half_way})
    while tally.tried < rounds:
        root = lab.new_folder()
        shutil.copytree(template, root, symlinks=True)
        path = rng.choice(sorted(root.glob(f"runs/*/{ROTTING[tally.tried % len(ROTTING)]}")))
        how = _damage(path, rng)
        ended = lab.run(subject.arguments(root), root)
        case = f"{path.name} {how}"
        tally.tried += 1
        tally.count(how)
        tally.count("fell back", "falling back" in ended.errors)
        tally.expect(ended.code == 0, f"{case}: ended with {ended.code}: {ended.errors[-300:]}")
        lab.check_end(subject, root, whole, tally, case)
        shutil.rmtree(root)
    shutil.rmtree(template)
    return tally


def _damage(path: Path, rng: random.Random) -> str:
    data = bytearray(path.read_bytes())
    kind = rng.choice(("flipped", "cut short", "gone"))
    if kind == "gone":
        path.unlink()
    elif kind == "cut short":
        path.write_bytes(data[: rng.randrange(len(data))])
    else:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
    return kind
