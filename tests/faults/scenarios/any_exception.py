"""Wrong arguments, settings and files for every verb and asset: each ends in one paragraph and a documented exit code.

A trace is shown by `--debug` alone. Exit code 70, a fault of the platform, is documented too and counts as a failure:
whatever a person types, and whatever happens to a file, must have been foreseen.
"""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.faults.lab import Lab, Tally
from tests.faults.subjects.release import ARCHIVE, SECOND

PLACE, WHOLE, SHORT = 10, 1000, 20

KINDS = {"arguments": 0.4, "settings": 0.2, "files": 0.3, "assets": 0.1}
"""What is wrong, and the share of the rounds; an asset takes as long as several verbs."""


def run(lab: Lab, rounds: int, rng: random.Random) -> Iterator[Tally]:
    """Try `rounds` wrong things, each kind in a process of its own: one may change its folder and its signals."""
    root = lab.fresh_root(ARCHIVE, SECOND)
    hows = [(str(root), str(max(round(rounds * share), 2)), str(rng.randrange(1 << 30))) for share in KINDS.values()]
    folders = [lab.new_folder() for _ in KINDS]
    with ThreadPoolExecutor(2) as threads:
        yield from threads.map(lambda kind, folder, how: _tried(lab, kind, folder, how), KINDS, folders, hows)
    shutil.rmtree(root)


def _tried(lab: Lab, kind: str, folder: Path, how: tuple[str, ...]) -> Tally:
    folder.mkdir(parents=True)
    environment = {**os.environ, "BEATSIGHT_LEASE_DIR": str(lab.folder / "leases"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.faults.any_exception", kind, str(folder), *how]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    shutil.rmtree(folder, ignore_errors=True)
    if done.returncode:
        return Tally(
            f"wrong {kind}", 1, [f"the process that tried them ended with {done.returncode}: {done.stderr[-900:]}"]
        )
    return Tally(**json.loads(done.stdout.splitlines()[-1]))
