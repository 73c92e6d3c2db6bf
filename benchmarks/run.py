"""`make bench`: every row measured, results kept, the table printed and written into docs/performance.md.

    python -m benchmarks.run                        all rows, about ten minutes once the corpus is there
    python -m benchmarks.run --only export,health   some rows; the others' results stay
    python -m benchmarks.run --only gpu --gpu-lines FILE   figures of a run of benchmarks.gpu on another machine

Each row's results go into `benchmarks/results/<date>.json` when the row is done, so a suite that was stopped goes on
with `--only`. Timings want an idle machine: each row says how busy it was.
"""

import argparse
import datetime
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import table
from benchmarks.bench import PROJECT, SCALES, Bench
from benchmarks.measure import machine, now, versions
from benchmarks.rows import ROWS, WITHOUT_CORPUS, gpu

DATA, RESULTS, PAGE = PROJECT / "benchmarks/data", PROJECT / "benchmarks/results", PROJECT / "docs/performance.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 0 if all rows could be measured, whether they meet their targets or not."""
    given = _parsed(arguments)
    bench = Bench(given.data.absolute(), SCALES[given.scale], say, given.gpu_lines)
    path = given.results / f"{datetime.date.today().isoformat()}.json"
    began, failed = time.monotonic(), []
    for name in given.only:
        try:
            _keep(path, name, measured(bench, name))
        except (RuntimeError, OSError, LookupError, ValueError) as error:
            failed.append(name)
            say(f"{name} cannot be measured: {type(error).__name__}: {error}")
    latest = table.latest(given.results)
    print(table.as_text({name: latest[name] for name in given.only if name in latest}))
    table.write_page(given.page, latest)
    say(f"done in {time.monotonic() - began:.0f} s: {path}" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


def measured(bench: Bench, name: str) -> dict[str, Any]:
    """A row with all that must be known of how it was measured."""
    if name not in WITHOUT_CORPUS:
        _ = bench.corpus  # not part of any row's time
    began, about = time.monotonic(), {"machine": machine(), "versions": versions(), "at": now()}
    figures = [figure.to_json() for figure in ROWS[name](bench)]
    if name == "gpu" and bench.gpu_lines is not None:
        about |= gpu.about(gpu.lines_of(bench))
    return {**about, "seconds": round(time.monotonic() - began, 1), "figures": figures}


def say(text: str) -> None:
    """A line on standard error, with the time."""
    print(f"{datetime.datetime.now():%H:%M:%S} {text}", file=sys.stderr, flush=True)


def _keep(path: Path, name: str, row: dict[str, Any]) -> None:
    """Put a row into the day's results; the others stay as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    results = json.loads(path.read_text()) if path.exists() else {}
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps({**results, name: row}, indent=1) + "\n")
    temporary.replace(path)


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=_names, default=list(ROWS), help=f"rows, with commas: {', '.join(ROWS)}")
    parser.add_argument("--scale", choices=SCALES, default="full", help="tiny: to see that everything runs")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of corpus and data roots, about 6 GB")
    parser.add_argument("--gpu-lines", type=Path, help="gpu.jsonl of a run of benchmarks.gpu on another machine")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of results")
    parser.add_argument("--page", type=Path, default=PAGE, help="page that gets the table")
    return parser.parse_args(arguments)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in ROWS]:
        raise argparse.ArgumentTypeError(f"no row {', '.join(unknown)}; there are {', '.join(ROWS)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
