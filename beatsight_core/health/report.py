"""The health of a corpus: measured, judged, compared with the baseline, written as JSON and as a page to look at."""

import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beatsight_core.audio.inventory import Inventory, open_inventory
from beatsight_core.errors import DatasetError
from beatsight_core.files import write_json, write_text
from beatsight_core.gates.corpus_limits import profile_of
from beatsight_core.gates.gate import Gate
from beatsight_core.gates.seal import SEAL, sealed
from beatsight_core.health.compare_baseline import FORMAT, read_baseline
from beatsight_core.health.figures.event_account import account_for_events
from beatsight_core.health.figures.export_figures import export_figures
from beatsight_core.health.figures.reconciliation import misplaced_events
from beatsight_core.health.figures.session_figures import judged_sessions, out_of_time
from beatsight_core.health.figures.sound_figures import sound_figures
from beatsight_core.health.figures.statistics import statistics
from beatsight_core.health.page.class_examples import health_examples
from beatsight_core.health.page.lists import write_lists
from beatsight_core.health.page.notices import notices
from beatsight_core.health.page.view import view
from beatsight_core.health.read_only import new_inventory, reports_folder
from beatsight_core.health.verdict import judge_figures
from beatsight_core.leftovers import remove_leftovers
from beatsight_core.manifest.read_manifest import Catalog
from beatsight_core.manifest.read_only import catalog_to_look_at
from beatsight_core.names import place_in
from beatsight_core.pages.page import render_page
from beatsight_core.progress import Progress, SilentProgress
from beatsight_core.settings import Settings

LATEST = "dataset_health"
"""Stem of the copies of the report that was made last, whichever manifest it is of."""


@dataclass(frozen=True, slots=True)
class HealthResult:
    """A judged corpus.

    Attributes:
        key: The manifest's key.
        gates: Every gate with its verdict.
        report_json: The whole report.
        report_html: The page.
        totals: The headline figures.
        seal: Of the report.
        tables: Rows of the report that are worth a look elsewhere: `sound` and `drift` by source set, `out_of_time` by
            session, `whereabouts` of the manifest's lines, `notices` of what fails no gate and matters.
    """

    key: str
    gates: tuple[Gate, ...]
    report_json: Path
    report_html: Path
    totals: Mapping[str, Any]
    seal: str
    tables: Mapping[str, Sequence[Mapping[str, Any]]]

    @property
    def passed(self) -> bool:
        """Whether every gate passed."""
        return all(gate.passed for gate in self.gates)

    @property
    def failed(self) -> tuple[Gate, ...]:
        """The gates that did not."""
        return tuple(gate for gate in self.gates if not gate.passed)

    def to_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        return {
            "key": self.key,
            "passed": self.passed,
            "gates": [gate.to_json() for gate in self.gates],
            "report_json": str(self.report_json),
            "report_html": str(self.report_html),
            "totals": dict(self.totals),
            "seal": self.seal,
            "tables": {name: list(rows) for name, rows in self.tables.items()},
        }


def run_health(settings: Settings, ref: str | Path, *, progress: Progress | None = None) -> HealthResult:
    """Measure and judge the corpus of a manifest, and write the report.

    A failed gate is a finding, not an error: the caller decides what follows from it.

    Args:
        settings: Gates, paths, clip length.
        ref: The manifest.
        progress: Hears of each step.

    Returns:
        The verdict and where the report is: `health_dir/<key>/report.json` and `.html`, with copies of the last report
        as `health_dir/dataset_health.json` and `.html`.

    Raises:
        ManifestError: The manifest cannot be used.
        DatasetError: Catalog, inventory, dataset or baseline cannot be read.
        SettingsError: The gates contradict the taxonomy.
        StorageError: The report cannot be written.
    """
    progress = progress or SilentProgress()
    catalog = catalog_to_look_at(settings, ref, progress=progress)
    inventory = _inventory(settings, catalog, progress)
    health_dir = reports_folder(settings)
    own = place_in(health_dir, catalog.key)
    for folder in (health_dir, own):
        remove_leftovers(folder)
    with progress.task("health", total=6, unit="steps") as task:
        export, sound = export_figures(settings, catalog.key), sound_figures(settings, catalog.key)
        task.advance(1)
        account = account_for_events(settings, catalog, inventory)
        task.advance(1)
        figures = statistics(settings, catalog, inventory, export, sound, account)
        task.advance(1)
        verdict = judge_figures(figures, settings.gates, read_baseline(settings.health_dir))
        gates, limits = verdict.gates, profile_of(settings.gates)
        out = out_of_time(figures, limits.max_misalignment_ms)
        report = {
            "format": FORMAT,
            "key": catalog.key,
            "manifest": catalog.summary.to_json()["manifest"],
            "sha256": catalog.summary.to_json()["sha256"],
            "made": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "profile": settings.gates.profile,
            "limits": limits.to_json(),
            "passed": all(gate.passed for gate in gates),
            "gates": [gate.to_json() for gate in gates],
            "notices": notices(figures, settings.gates.profile),
            **verdict.against,
            "lists": write_lists(own, catalog, account, misplaced_events(catalog, figures["reconciliation"]), out),
            "statistics": figures,
        }
        task.advance(1)
        whole = sealed(report)
        # The page is drawn from the report in its own order: in the file, keys are sorted and classes with them.
        page = render_health({**report, SEAL: whole[SEAL]}, health_examples(settings, catalog.key))
        task.advance(1)
        paths = _write(health_dir, own, whole, page)
        task.advance(1)
    return HealthResult(catalog.key, gates, *paths, figures["totals"], whole[SEAL], _tables(report, out))


def render_health(report: Mapping[str, Any], examples: Sequence[Mapping[str, Any]] = ()) -> str:
    """The page of a report, as HTML.

    Args:
        report: The whole of it.
        examples: Clips to hear and see, from `health_examples`.
    """
    return render_page("health.html", title="Corpus health", report=report, examples=examples, **view(report))


def _tables(report: Mapping[str, Any], out: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    figures = report["statistics"]
    sound = figures["sound"]["by_source"] if figures["sound"] else {}
    sessions_out = Counter(source for source, _ in {(row["source_set"], row["session_id"]) for row in out})
    return {
        "sound": [
            {"source": name, **{key: one[key] for key in ("measured", "clipped", "offset")},
             "attack_ms": one["alignment"]["median_ms"], "strokes": one["alignment"]["strokes"],
             "sessions_judged": judged_sessions(one["sessions"]),
             "sessions_out_of_time": sessions_out[name]}
            for name, one in sound.items()
        ],
        "out_of_time": [dict(row) for row in out],
        "drift": [{**row, "source": row["source"] or "all of them"} for row in report["drift"]],
        "whereabouts": [{"what": name, "lines": lines} for name, lines in figures["whereabouts"].items()],
        "notices": [dict(notice) for notice in report["notices"]],
    }  # fmt: skip


def _inventory(settings: Settings, catalog: Catalog, progress: Progress) -> Inventory:
    """The inventory; made anew unless one lacks nothing, as a drive may have been mounted or a file mended since."""
    try:
        known = open_inventory(settings, catalog)
    except DatasetError:
        return new_inventory(settings, catalog, progress)
    summary = known.to_json()
    if summary["ok"] == summary["files"] and not summary["events_past_end"]:
        return known
    return new_inventory(settings, catalog, progress)


def _write(folder: Path, own: Path, report: Mapping[str, Any], page: str) -> tuple[Path, Path]:
    """The report in its own folder, then the copies; each file appears whole or not at all."""
    write_json(own / "report.json", report)
    write_text(own / "report.html", page)
    write_json(folder / f"{LATEST}.json", report)
    write_text(folder / f"{LATEST}.html", page)
    return own / "report.json", own / "report.html"
