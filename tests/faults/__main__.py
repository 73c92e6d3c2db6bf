"""Run the fault harness: `python -m tests.faults [--only NAME] [--rounds N] [--seed S] [--report FILE]`."""

import argparse
import random
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from tests.faults.lab import Tally, open_lab, scenarios
from tests.faults.report import Outcome, merge, write_section

_WRITING = Lock()
"""Held while the file of results is read and written."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run scenarios; 1 if anything did not end as promised."""
    options = _options(arguments)
    chosen = options.only.split(",") if options.only else list(scenarios())
    if unknown := set(chosen) - set(scenarios()):
        raise SystemExit(f"there is no {', '.join(sorted(unknown))}: choose from {', '.join(scenarios())}")
    with ThreadPoolExecutor(options.jobs) as threads:
        outcomes = list(threads.map(lambda name: _run(name, options), chosen))
    results = merge(outcomes, list(scenarios()))
    if options.report:
        write_section(options.report, results)
    failed = [failure for outcome in outcomes for failure in outcome.failures]
    for failure in failed:
        print(f"NOT AS PROMISED  {failure}")
    print(f"{sum(outcome.tried for outcome in outcomes):,} trials, {len(failed) or 'none'} not as promised")
    return 1 if failed else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Kill, fill, flip, fuzz; count losses.")
    parser.add_argument("--only", help=f"some scenarios, with commas between: {', '.join(scenarios())}")
    parser.add_argument("--rounds", type=int, help="instead of each scenario's own number")
    parser.add_argument("--seed", type=int, default=1, help="of all random choices (default 1)")
    parser.add_argument("--jobs", type=int, default=2, help="scenarios at a time (default 2)")
    parser.add_argument("--folder", type=Path, help="where to work (default: in memory)")
    parser.add_argument("--report", type=Path, help="a document whose section of results is written anew")
    return parser.parse_args(arguments)


def _run(name: str, options: argparse.Namespace) -> Outcome:
    scenario = scenarios()[name]
    rounds = options.rounds or scenario.WHOLE
    began = time.monotonic()
    with open_lab(options.folder) as lab:
        tallies: list[Tally] = []

        def outcome(*, ended: bool) -> Outcome:
            seconds = time.monotonic() - began
            return Outcome(name, _title(scenario), rounds, options.seed, seconds, tallies, ended)

        for tally in scenario.run(lab, rounds, random.Random(f"{options.seed} {name}")):
            tallies.append(tally)
            print(
                f"{time.monotonic() - began:6.0f} s  {tally.what}: {tally.tried:,}, lost {len(tally.failures)}",
                flush=True,
            )
            with _WRITING:  # now: who stops this keeps what it found
                merge([outcome(ended=False)], list(scenarios()))
    whole = outcome(ended=True)
    print(f"{name}: {whole.tried:,} trials, {len(whole.failures)} failures, {whole.seconds:.0f} s", flush=True)
    return whole


def _title(scenario: object) -> str:
    return " ".join(str(scenario.__doc__).split("\n\n", maxsplit=1)[0].split())


if __name__ == "__main__":
    sys.exit(main())
