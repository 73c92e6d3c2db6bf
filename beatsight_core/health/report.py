"""The health of a corpus: measured, judged, compared with the baseline, written as JSON and as a page to look at."""

import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beatsight_core.audio.inventory import Inventory, open_inventory
from beatsight_core.dataset.page.example_cards import CardGroup
from beatsight_core.errors import DatasetError
from beatsight_core.files import write_json, write_text
from beatsight_core.gates.corpus_limits import profile_of
from beatsight_core.gates.gate import Gate
from beatsight_core.gates.record import HEALTH_REPORT, sealed
from beatsight_core.health.compare_baseline import read_baseline
from beatsight_core.health.figures.event_account import account_for_events
from beatsight_core.health.figures.export_figures import export_figures
from beatsight_core.health.figures.reconciliation import misplaced_events
from beatsight_core.health.figures.sound_figures import sound_figures
from beatsight_core.health.figures.statistics import Totals, statistics
from beatsight_core.health.page.class_examples import health_examples
from beatsight_core.health.page.lists import write_lists
from beatsight_core.health.page.notices import notices
from beatsight_core.health.page.view import health_view
from beatsight_core.health.read_only import new_inventory, reports_folder
from beatsight_core.health.report_content import HealthReport
from beatsight_core.health.verdict import judge_figures
from beatsight_core.leftovers import remove_leftovers
from beatsight_core.manifest.read_manifest import Catalog
from beatsight_core.manifest.read_only import catalog_to_look_at
from beatsight_core.names import place_in
from beatsight_core.pages.page import render_page
from beatsight_core.progress import Progress, SilentProgress
from beatsight_core.settings import Settings
from beatsight_core.typed_json import JsonObject, to_json

LATEST = "dataset_health"
"""Stem of the copies of the report that was made last, whichever manifest it is of."""

PAGE = "report.html"


@dataclass(frozen=True, slots=True)
class HealthResult:
    """A judged corpus.

    Attributes:
        report: Report as it was written.
        report_json: File of the report.
        report_html: Page of the report.
        seal: Seal of the report.
    """

    report: HealthReport
    report_json: Path
    report_html: Path
    seal: str

    @property
    def key(self) -> str:
        """Key of the manifest."""
        return self.report.key

    @property
    def gates(self) -> tuple[Gate, ...]:
        """Gates with their verdicts."""
        return self.report.gates

    @property
    def failed(self) -> tuple[Gate, ...]:
        """Gates that did not pass."""
        return self.report.failed

    @property
    def passed(self) -> bool:
        """Verdict: every gate passed."""
        return self.report.passed

    @property
    def totals(self) -> Totals:
        """Headline figures."""
        return self.report.statistics.totals

    def to_json(self) -> JsonObject:
        """Return what the command line prints and the web UI shows.

        `tables` are rows of the report that are worth a look elsewhere: `sound` and `drift` by source set,
        `out_of_time` by session, `whereabouts` of the manifest's lines, `notices` of what fails no gate and matters.
        """
        return {
            "key": self.key,
            "passed": self.passed,
            "gates": [gate.to_json() for gate in self.gates],
            "report_json": str(self.report_json),
            "report_html": str(self.report_html),
            "totals": to_json(self.totals),
            "seal": self.seal,
            "tables": _tables(self.report),
        }


def run_health(settings: Settings, ref: str | Path, *, progress: Progress | None = None) -> HealthResult:
    """Measure and judge the corpus of a manifest, and write the report.

    A failed gate is a finding, not an error: the caller decides what follows from it.

    Args:
        settings: Gates, folders, length of clips.
        ref: Manifest, by path, name or key.
        progress: Receiver of each step.

    Returns:
        Verdict and places of the report: `health_dir/<key>/report.json` and `.html`, with copies of the last report as
        `health_dir/dataset_health.json` and `.html`.

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
        baseline = read_baseline(settings.health_dir)
        verdict, limits = judge_figures(figures, settings.gates, baseline), profile_of(settings.gates)
        out = figures.out_of_time(limits.max_misalignment_ms)
        report = HealthReport(
            key=catalog.key,
            manifest=catalog.summary.manifest,
            sha256=catalog.summary.sha256,
            made=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            profile=settings.gates.profile,
            limits=limits,
            gates=verdict.gates,
            notices=notices(figures, settings.gates.profile),
            baseline=baseline.named() if baseline else None,
            changes=verdict.changes,
            drift=verdict.drift,
            lists=write_lists(own, catalog, account, misplaced_events(catalog, figures.reconciliation), out),
            statistics=figures,
        )
        task.advance(1)
        whole = sealed(report.to_json(), HEALTH_REPORT.seal)
        seal = str(whole[HEALTH_REPORT.seal])
        page = render_health(report, seal, health_examples(settings, catalog.key))
        task.advance(1)
        _write(health_dir, own, whole, page)
        task.advance(1)
    return HealthResult(report, own / HEALTH_REPORT.file, own / PAGE, seal)


def render_health(report: HealthReport, seal: str, examples: Sequence[CardGroup] = ()) -> str:
    """Return the page of a report, as HTML.

    Args:
        report: Report to draw.
        seal: Seal of the report.
        examples: Clips to hear and see, from `health_examples`.
    """
    return render_page(
        "health.html", title="Corpus health", report=report, seal=seal, view=health_view(report), examples=examples
    )


def _tables(report: HealthReport) -> JsonObject:
    figures = report.statistics
    sound = figures.sound.by_source if figures.sound else {}
    out = figures.out_of_time(report.limits.max_misalignment_ms)
    sessions_out = Counter(source for source, _ in {(row.source_set, row.recording.session_id) for row in out})
    return {
        "sound": [
            {"source": name, "measured": one.measured, "clipped": one.clipped, "offset": one.offset,
             "attack_ms": one.alignment.median_ms, "strokes": one.alignment.strokes,
             "sessions_judged": one.sessions.judged, "sessions_out_of_time": sessions_out[name]}
            for name, one in sound.items()
        ],
        "out_of_time": [row.to_json() for row in out],
        "drift": [row.to_json() | {"source": row.source or "all of them"} for row in report.drift],
        "whereabouts": [{"what": name, "lines": lines} for name, lines in (figures.whereabouts or {}).items()],
        "notices": [to_json(notice) for notice in report.notices],
    }  # fmt: skip


def _inventory(settings: Settings, catalog: Catalog, progress: Progress) -> Inventory:
    """Return the inventory, made anew unless it lacks nothing: a drive may have been mounted or a file mended since."""
    try:
        known = open_inventory(settings, catalog)
    except DatasetError:
        return new_inventory(settings, catalog, progress)
    summary = known.to_json()
    if summary["ok"] == summary["files"] and not summary["events_past_end"]:
        return known
    return new_inventory(settings, catalog, progress)


def _write(folder: Path, own: Path, report: Mapping[str, Any], page: str) -> None:
    """Write the report into its own folder, then the copies; each file appears whole or not at all."""
    write_json(own / HEALTH_REPORT.file, report)
    write_text(own / PAGE, page)
    write_json(folder / f"{LATEST}.json", report)
    write_text(folder / f"{LATEST}.html", page)
