"""The report: results as JSON, and as a section of docs/reliability.md between two markers."""

import datetime
import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.drives import may_mount
from tests.faults.lab import Tally

RESULTS = Path(__file__).parent / "results.json"
BEGIN, END = "<!-- results: begin, written by make faults -->", "<!-- results: end -->"
VERSIONS = ("beatsight", "numpy", "polars", "pyarrow", "soundfile", "torch", "hypothesis")

_SHOWN = 20
"""Failures of a line that a report repeats."""


@dataclass(frozen=True)
class Outcome:
    """What a scenario gave.

    Attributes:
        name: Of the scenario.
        title: What it does, in a sentence.
        rounds: It was asked for.
        seed: Of its random choices.
        seconds: It took.
        tallies: Line by line.
        ended: Whether the scenario came to its end; what it gave until then is kept all the same.
    """

    name: str
    title: str
    rounds: int
    seed: int
    seconds: float
    tallies: Sequence[Tally]
    ended: bool = True

    @property
    def tried(self) -> int:
        """How often something was tried."""
        return sum(tally.tried for tally in self.tallies)

    @property
    def failures(self) -> list[str]:
        """What did not hold."""
        return [f"{tally.what}: {failure}" for tally in self.tallies for failure in tally.failures]

    def to_json(self) -> dict[str, Any]:
        """For the file of results."""
        return {
            "title": self.title,
            "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
            "rounds": self.rounds,
            "seed": self.seed,
            "seconds": round(self.seconds),
            "ended": self.ended,
            "machine": machine(),
            "versions": versions(),
            "lines": [
                {"what": tally.what, "tried": tally.tried, "failed": len(tally.failures), "figures": tally.figures,
                 "failures": [failure[:500] for failure in tally.failures[:_SHOWN]]}
                for tally in self.tallies
            ],
        }  # fmt: skip


def merge(outcomes: Sequence[Outcome], order: Sequence[str], file: Path = RESULTS) -> dict[str, Any]:
    """Put outcomes into the file of results; those of scenarios that did not run stay."""
    known: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    known |= {outcome.name: outcome.to_json() for outcome in outcomes}
    ordered = {name: known[name] for name in order if name in known}
    file.write_text(json.dumps(ordered, indent=1) + "\n")
    return ordered


def write_section(document: Path, results: Mapping[str, Any]) -> None:
    """Replace what is between the markers of a document."""
    text = document.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not rest:
        raise SystemExit(f"{document} has no line {BEGIN!r}")
    document.write_text(f"{before}{BEGIN}\n\n{section(results)}\n{END}{after}")


def section(results: Mapping[str, Any]) -> str:
    """All results as Markdown."""
    tried = sum(line["tried"] for result in results.values() for line in result["lines"])
    failed = sum(line["failed"] for result in results.values() for line in result["lines"])
    minutes = max(1, round(sum(result["seconds"] for result in results.values()) / 60))
    verdict = f"{failed:,} did not end as promised" if failed else "all ended as promised"
    parts = [f"{tried:,} trials, {minutes} min of work: {verdict}.", ""]
    parts += [*dict.fromkeys(_conditions(result) for result in results.values()), ""]
    for name, result in results.items():
        parts += [f"### {name.replace('_', ' ').capitalize()}", "", result["title"], ""]
        cut = "" if result.get("ended", True) else ", stopped before its end"
        parts += [f"{result['date']}, seed {result['seed']}, {result['seconds']:,} s{cut}.", ""]
        parts += ["| what was tried | times | not as promised | counted on the way |", "|---|---:|---:|---|"]
        parts += [*(_row(line) for line in result["lines"]), ""]
        parts += [f"- {failure}\n" for line in result["lines"] for failure in line["failures"][:3]]
    return "\n".join(parts)


def machine() -> str:
    """The machine in a few words."""
    kind = "mounts allowed" if may_mount() else "no mounts"
    return f"{platform.system()} {platform.release().split('-')[0]}, {os.cpu_count()} cores, {kind}"


def versions() -> dict[str, str]:
    """Python and the packages that matter, those that are installed."""
    found = {"python": platform.python_version()}
    for name in VERSIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _conditions(result: Mapping[str, Any]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return f"{result['machine']}; {packages}."


def _row(line: Mapping[str, Any]) -> str:
    figures = ", ".join(f"{name.replace('_', ' ')} {number:,}" for name, number in line["figures"].items())
    return f"| {line['what']} | {line['tried']:,} | {line['failed'] or 'none'} | {figures} |"
