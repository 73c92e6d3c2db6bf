"""Tries wrong things on copies of a data root: `python -m tests.faults.any_exception KIND FOLDER ROOT ROUNDS SEED`.

The last line that it prints is what came of it, as JSON.
"""

import contextlib
import dataclasses
import json
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from click.testing import CliRunner

from beatsight_core.cli.main import beatsight
from beatsight_core.errors import BeatSightError
from tests.faults import assets, wrong
from tests.faults.lab import Tally

CODES = {0, 1, 2, 3, 4, 75, 130}
LIMIT_S = 120
"""No verb of the small corpus takes as long, whatever it finds."""

LOOKS = (
    ["models"], ["doctor"], ["dataset", "ls"], ["dataset", "du"], ["archive", "--verify"], ["rollback", "--dry-run"],
    ["manifest", "stats", "takes.jsonl"], ["verify", "takes.jsonl"], ["models", "--apply"],
)  # fmt: skip
VERBS = (
    *LOOKS, ["export", "takes.jsonl"], ["export", "takes.jsonl", "--verify"], ["features", "takes.jsonl"],
    ["features", "takes.jsonl", "--verify"], ["health", "takes.jsonl"], ["dataset", "show", "takes"], ["archive"],
    ["train", "takes.jsonl", "--max-seconds", "0.5"], ["evaluate", "latest", "--device", "cpu"], ["rollback"],
    ["promote", "latest", "--dry-run", "--device", "cpu"], ["judge", "latest", "--device", "cpu"],
    ["dataset", "prune"], ["manifest", "check", "takes.jsonl"], ["archive", "latest"],
)  # fmt: skip


def main(kind: str, folder: Path, root: Path, rounds: int, rng: random.Random) -> Tally:
    """Try one kind of wrong things."""
    os.chdir(folder)
    for name in [name for name in os.environ if name.startswith(("BEATSIGHT_D", "BEATSIGHT_R", "WANDB_"))]:
        del os.environ[name]
    tries: dict[str, Callable[[Path, Path, int, random.Random], Tally]] = {
        "arguments": _arguments, "settings": _settings, "files": _files, "assets": assets.under_wrong_files,
    }  # fmt: skip
    with contextlib.ExitStack() as stack:
        for name in ("_run_services", "run_dagster_module"):
            stack.enter_context(mock.patch(f"beatsight_core.cli.verbs.platform.{name}", _not_here))
        return tries[kind](folder, root, rounds, rng)


def _not_here(*_: object) -> Any:
    raise BeatSightError("Services are not started here")


def _arguments(folder: Path, root: Path, rounds: int, rng: random.Random) -> Tally:
    tally = Tally("wrong arguments")
    with copy_of(root, folder) as copy:
        for _ in range(rounds):
            line = wrong.words(rng)
            _call(tally, copy, line, f"{line}")
    return tally


def _settings(folder: Path, root: Path, rounds: int, rng: random.Random) -> Tally:
    tally = Tally("wrong settings")
    plain = (root / "beatsight.toml").read_text()
    with copy_of(root, folder) as copy:
        for _ in range(rounds):
            text = wrong.settings(plain, rng)
            (copy / "beatsight.toml").unlink()
            (copy / "beatsight.toml").write_text(text, encoding="utf-8", errors="surrogateescape")
            line = rng.choice(VERBS)
            _call(tally, copy, line, f"{line} with {text}")
    return tally


def _files(folder: Path, root: Path, rounds: int, rng: random.Random) -> Tally:
    tally = Tally("wrong files")
    for _ in range(rounds):
        with copy_of(root, folder) as copy:
            case = "; ".join(wrong.wrong_file(copy, rng) for _ in range(rng.choice((1, 3, 9))))
            line = rng.choice(VERBS)
            _call(tally, copy, line, f"{line}, {case}")
    return tally


@contextlib.contextmanager
def copy_of(root: Path, folder: Path) -> Iterator[Path]:
    """A copy of the data root for one trial."""
    copy = wrong.linked_copy(root, folder / "root")
    try:
        yield copy
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def _call(tally: Tally, root: Path, line: list[str], case: str) -> None:
    """Carry out a command line, and look how it ends."""
    tally.tried += 1
    try:
        with _time_limit(LIMIT_S):
            done = CliRunner().invoke(beatsight, ["--data-root", str(root), *line])
    except TimeoutError:
        tally.failures.append(f"{case}: it took more than {LIMIT_S} s")
        return
    code, errors = done.exit_code, done.stderr
    tally.count(f"exit code {code}")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        tally.failures.append(f"{case}: {type(done.exception).__name__}: {done.exception}")
        return
    said = [text for text in errors.splitlines() if text.startswith(("Error: ", "Stopped: ", "Interrupted"))]
    tally.expect(code in CODES, f"{case}: exit code {code}: {said or errors[-300:]}")
    tally.expect("Traceback" not in errors and "Exception ignored" not in errors, f"{case}: a trace: {errors[-500:]}")
    is_help = code == 2 and errors.startswith("Usage: ") and "Commands:" in errors  # a verb of verbs without one
    told = len(said) <= 1 and (code in (0, 1) or len(said) == 1 or is_help)
    tally.expect(told, f"{case}: {len(said)} paragraphs: {errors[-500:]}")
    if "--json" in line and said and "Usage: " not in errors:
        tally.expect(_is_one_object(done.stdout), f"{case}: no JSON on standard output: {done.stdout[:200]!r}")


def _is_one_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


@contextlib.contextmanager
def _time_limit(seconds: int) -> Iterator[None]:
    """End what takes too long, as a pipe does that nobody writes to."""

    def late(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


if __name__ == "__main__":
    _kind, *_paths, _rounds, _seed = sys.argv[1:]
    _tally = main(_kind, *map(Path, _paths), int(_rounds), random.Random(_seed))
    print(json.dumps(dataclasses.asdict(_tally)))
