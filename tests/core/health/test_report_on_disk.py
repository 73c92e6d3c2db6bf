"""What `report.json` holds: every key stays as it is, and reports of earlier versions are still read."""

import copy
from pathlib import Path

import orjson
import pytest

from beatsight_core.dataset.export import export_dataset
from beatsight_core.files import write_json
from beatsight_core.gates.record import HEALTH_REPORT, sealed
from beatsight_core.health.approve import approve
from beatsight_core.health.compare_baseline import BASELINE_FILE, read_baseline
from beatsight_core.health.corpus_gates import evaluate_gates
from beatsight_core.health.figures.statistics import CorpusFigures
from beatsight_core.health.report import run_health
from beatsight_core.promotion.health_record import require_health
from beatsight_core.typed_json import from_json, to_json

KEYS = Path(__file__).with_name("report_keys.txt")

TABLES = {
    "bleed_level", "by_label", "by_reason", "by_source", "by_split", "channels", "classes", "components_per_hit",
    "corrections", "dynamics", "events_by_label", "events_by_source", "first", "found_by_root", "gaps_by_source",
    "hits_by_source", "label_by_source", "licences", "min_counts", "mix_context", "rejected", "sample_rates",
    "seconds_by_source", "seconds_by_split", "simultaneous_by_source", "sources", "splits", "synthetic_by_source",
    "techniques", "techniques_by_source", "unknown_labels", "whereabouts",
}  # fmt: skip
"""Keys of tables that lead from a name of the data to a figure."""


def paths(value, here=""):
    """Every path of keys in JSON; `*` stands for names of the data, `[]` for places of a list."""
    if isinstance(value, list):
        return {path for one in value for path in paths(one, f"{here}[]")} or {here}
    if not isinstance(value, dict) or here.endswith(".head[]"):
        return {here}
    is_table = here.rpartition(".")[2] in TABLES
    return {path for key, one in value.items() for path in paths(one, f"{here}.{'*' if is_table else key}")} or {here}


@pytest.fixture
def manifest(small_settings, corpus, drums):
    """A manifest with something in every part of a report."""
    hat = {"label": "hihat_open", "velocity": 0.9, "openness": 1.0}
    rows = drums.take("a", drummer_id="d", kit_id="k", licence="CC0", techniques=["flam"]) + drums.take("b")
    rows += [{**drums.event("a", 99, 3.9), "components": [hat]}, drums.event("a", 70, 30.0, "snare")]
    rows += [{**row, "event_id": f"again-{row['event_id']}"} for row in drums.take("b")[:2]]
    return corpus([*rows, *drums.take("gone"), drums.event("z", 1, 0.5, "gong"), "{"], without=("gone.wav",))


def test_a_report_has_the_keys_that_it_always_had(small_settings, manifest):
    export_dataset(small_settings, manifest, workers=1)
    run_health(small_settings, manifest)
    approve(small_settings, manifest, why="for the keys")
    report = orjson.loads(run_health(small_settings, manifest).report_json.read_bytes())
    assert sorted(paths(report)) == KEYS.read_text().splitlines()
    figures = from_json(CorpusFigures, report["statistics"])
    assert orjson.loads(orjson.dumps(to_json(figures))) == report["statistics"]


LATER = (
    ("hits", "balance"), ("hits", "gaps_by_source"), ("leakage", "copies"), ("leakage", "sessions", "different"),
    ("audio", "short"), ("audio", "opposed"), ("audio", "hidden"), ("audio", "noted_files"), ("audio", "hidden_files"),
    ("audio", "by_source", "takes", "expected_rate"), ("export", "levels", "by_source"), ("corrections",),
    ("whereabouts",),
)  # fmt: skip
"""Keys that the first reports of this format lack."""


def test_figures_of_an_earlier_report_are_judged_like_those_of_today(small_settings, corpus, drums):
    manifest = corpus(drums.take("a") + drums.take("b"))
    export_dataset(small_settings, manifest, workers=1)
    report = orjson.loads(run_health(small_settings, manifest).report_json.read_bytes())
    earlier = copy.deepcopy(report["statistics"])
    for *folders, key in LATER:
        place = earlier
        for name in folders:
            place = place[name]
        del place[key]
    gates = evaluate_gates(from_json(CorpusFigures, earlier), small_settings.gates)
    names = [gate["name"] for gate in report["gates"] if "nearly silent" not in gate["name"]]
    assert [gate.name for gate in gates] == names
    assert all(gate.passed for gate in gates)


def test_an_earlier_baseline_is_compared_with(small_settings, corpus, drums):
    manifest = corpus(drums.take("a") + drums.take("b"))
    report = orjson.loads(run_health(small_settings, manifest).report_json.read_bytes())
    hits = report["statistics"]["hits"]
    classes = {
        label: {"hits": 2 * one["hits"], "by_source": one["by_source"]} for label, one in hits["classes"].items()
    }
    few = {"hits": hits["hits"], "hits_by_source": hits["hits_by_source"], "classes": classes}
    kept = {name: report[name] for name in ("format", "key", "passed", "gates")}
    baseline = sealed({**kept, "statistics": {"hits": few}}, HEALTH_REPORT.seal)
    write_json(small_settings.health_dir / BASELINE_FILE, baseline)
    assert read_baseline(small_settings.health_dir).blessing is None
    result = run_health(small_settings, manifest)
    assert [gate.name for gate in result.failed] == ["largest drop of a class since the baseline"]
    assert "which nobody is known to have approved" in result.report_html.read_text()


def test_a_report_on_disk_is_believed_by_what_it_says(small_settings, corpus, drums):
    manifest = corpus(drums.take("a") + drums.take("b"))
    export_dataset(small_settings, manifest, workers=1)
    result = run_health(small_settings, manifest)
    assert [gate.name for gate in require_health(small_settings, result.key)] == [gate.name for gate in result.gates]
