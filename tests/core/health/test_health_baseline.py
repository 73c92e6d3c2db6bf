"""Approving a report, and what later reports are held to: classes, source sets, gates."""

import copy
import json

import orjson
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.cli.main import beatsight
from beatsight_core.errors import DatasetError, GateError, UsageError
from beatsight_core.gates.corpus_limits import PROFILES, profile_of
from beatsight_core.gates.record import HEALTH_REPORT, is_sealed
from beatsight_core.health.approve import approve, baseline_path
from beatsight_core.health.drift import WHOLE, drift, drift_gates, jensen_shannon, largest_change
from beatsight_core.health.figures.hit_figures import ClassCounts, HitCounts
from beatsight_core.health.report import run_health
from beatsight_core.settings import GateSettings

COUNTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 1000), min_size=1).filter(
    lambda counts: sum(counts.values()) > 0
)


def call(*arguments):
    return CliRunner().invoke(beatsight, [str(argument) for argument in arguments])


@settings(max_examples=60, deadline=None)
@given(COUNTS, COUNTS, st.integers(2, 9))
def test_drift_is_zero_for_equal_shares_symmetric_and_at_most_one(one, other, times):
    assert jensen_shannon(one, {name: times * count for name, count in one.items()}) == pytest.approx(0, abs=1e-12)
    assert jensen_shannon(one, other) == pytest.approx(jensen_shannon(other, one), abs=1e-12)
    assert 0 <= jensen_shannon(one, other) <= 1
    assert 0 <= largest_change(one, other)[0] <= 1
    assert largest_change(one, one)[0] == 0


def test_drift_has_its_known_values():
    assert jensen_shannon({"a": 1}, {"b": 1}) == 1
    assert largest_change({"a": 1}, {"b": 1})[0] == 1
    assert jensen_shannon({"a": 1, "b": 1}, {"a": 1}) == pytest.approx(0.311278, abs=1e-6)
    assert largest_change({"a": 3, "b": 1}, {"a": 1, "b": 1}) == (0.25, "a")


def _hits(**sources):
    """Hits from source -> class -> count."""
    labels = sorted({label for classes in sources.values() for label in classes})
    by_source = {label: {name: classes.get(label, 0) for name, classes in sources.items()} for label in labels}
    return HitCounts(
        hits=sum(sum(classes.values()) for classes in sources.values()),
        hits_by_source={name: sum(classes.values()) for name, classes in sources.items()},
        classes={label: ClassCounts(sum(row.values()), row) for label, row in by_source.items()},
    )


def _rows(before, after):
    return drift(_hits(**after), _hits(**before))


def _failed(rows, limits=PROFILES["production"]):
    return [gate.name.partition(" since")[0] for gate in drift_gates(rows, limits) if not gate.passed]


def test_equal_data_do_not_drift_and_a_swapped_class_does():
    before = {"x": {"kick": 80, "crash": 20}, "y": {"kick": 50, "crash": 50}}
    rows = _rows(before, before)
    assert [row.js for row in rows] == [0, 0, 0]
    assert _failed(rows) == []
    swapped = copy.deepcopy(before)
    swapped["x"] = {"kick": 20, "crash": 80}
    rows = _rows(before, swapped)
    assert _failed(rows) == ["drift of a source", "drift of a source"]
    gate = drift_gates(rows, PROFILES["production"])[1]
    assert gate.value == pytest.approx(0.6)
    assert gate.message.startswith("x moved by 60.0 %, most of all crash (+60 points)")
    assert "y moved" not in gate.message


def test_each_measure_has_its_own_limit():
    rows = _rows({"x": {"kick": 50, "crash": 50}}, {"x": {"kick": 60, "crash": 40}})
    assert _failed(rows, profile_of(GateSettings(max_drift_js=0.001))) == ["drift of a source"]
    assert _failed(rows, profile_of(GateSettings(max_drift_linf=0.09))) == ["drift of a source"]
    assert _failed(rows) == []  # exactly at the limit of a tenth


def test_a_source_set_that_is_gone_fails_and_one_that_came_does_not():
    assert _failed(_rows({"x": {"kick": 1}}, {"x": {"kick": 1}, "new": {"crash": 9}})) == []
    rows = _rows({"x": {"kick": 1}, "old": {"kick": 9}}, {"x": {"kick": 1}})
    assert _failed(rows) == ["source sets gone"]
    assert [row.source for row in rows] == ["old", "x", WHOLE]
    assert rows[0].js is None


@pytest.fixture
def manifest(corpus, drums):
    return corpus([row for name in "abcd" for row in drums.take(name)])


def test_an_approval_says_who_when_and_why_and_is_sealed(small_settings, manifest):
    report = orjson.loads(run_health(small_settings, manifest).report_json.read_bytes())
    approval = approve(small_settings, manifest, why="heard 40 clips of each class")
    baseline = orjson.loads(baseline_path(small_settings).read_bytes())
    assert is_sealed(baseline, HEALTH_REPORT.seal)
    said = baseline["blessing"]
    assert said["why"] == "heard 40 clips of each class"
    assert (said["by"], said["host"], said["at"]) == (approval.by, approval.host, approval.at)
    assert said["report_seal"] == report["seal"]
    assert {**baseline, "blessing": None, "seal": None} == {**report, "blessing": None, "seal": None}


def test_approved_data_pass_and_a_later_drop_fails(small_settings, manifest, corpus, drums):
    run_health(small_settings, manifest)
    approve(small_settings, manifest)
    again = run_health(small_settings, manifest)
    assert again.passed
    report = orjson.loads(again.report_json.read_bytes())
    assert [row["js"] for row in report["drift"]] == [0, 0]
    assert report["baseline"]["blessing"]["by"]
    rows = [row for name in "abcd" for row in drums.take(name)]
    fewer = [row for row in rows if row["components"][0]["label"] != "snare" or row["session_id"] == "a"]
    result = run_health(small_settings, corpus(fewer, name="fewer"))
    names = [gate.name for gate in result.failed]
    assert "largest drop of a class since the baseline" in names
    assert "drift of a source since the baseline (L-infinity)" in names
    assert next(gate for gate in result.failed if gate.name.startswith("largest drop")).message.startswith(
        "snare lost 75.0 %: find out"
    )
    page = result.report_html.read_text()
    assert "Drift of the classes" in page


def test_limits_of_the_comparison_are_settings(small_settings, manifest, corpus, drums, data_root):
    from beatsight_core.settings import load_settings

    run_health(small_settings, manifest)
    approve(small_settings, manifest)
    smaller = corpus([row for name in "abc" for row in drums.take(name)], name="smaller")
    assert run_health(small_settings, smaller).passed  # a quarter fewer
    file = data_root / "beatsight.toml"
    file.write_text(file.read_text().replace("[gates]\n", "[gates]\nmax_class_drop = 0.2\n"))
    strict = run_health(load_settings(data_root, {}), smaller)
    assert [gate.name for gate in strict.failed] == ["largest drop of a class since the baseline"]
    assert orjson.loads(strict.report_json.read_bytes())["limits"]["max_class_drop"] == 0.2


def test_a_failed_report_is_approved_only_for_a_reason(small_settings, corpus, drums):
    manifest = corpus(drums.take("a") + drums.take("gone"), without=("gone.wav",))
    run_health(small_settings, manifest)
    with pytest.raises(GateError, match="events without usable audio"):
        approve(small_settings, manifest)
    with pytest.raises(UsageError):
        approve(small_settings, manifest, why="  ")
    assert not (small_settings.health_dir / "baseline.json").exists()
    approval = approve(small_settings, manifest, why="the drive of that session is gone for good")
    assert "events without usable audio" in approval.failed
    result = run_health(small_settings, manifest)
    assert not any("newly fail" in gate.name for gate in result.failed)


def test_an_edited_report_is_not_approved_and_an_edited_baseline_not_compared_with(small_settings, manifest):
    path = run_health(small_settings, manifest).report_json
    original = path.read_bytes()
    report = json.loads(original)
    report["gates"][0]["limit"] = 0
    report["gates"][0]["value"] = 17
    path.write_text(json.dumps(report))
    with pytest.raises(DatasetError, match="altered after it was written"):
        approve(small_settings, manifest)
    path.write_bytes(original)
    approve(small_settings, manifest)
    baseline = baseline_path(small_settings)
    baseline.write_bytes(baseline.read_bytes().replace(b'"why": ""', b'"why": "other"'))
    with pytest.raises(DatasetError, match="health approve"):
        run_health(small_settings, manifest)


def test_the_command_approves_and_health_alone_still_judges(small_settings, manifest, data_root):
    missing = call("health", "approve", manifest, "--data-root", data_root)
    assert missing.exit_code == 3
    assert "beatsight health" in missing.stderr
    judged = call("health", manifest, "--data-root", data_root, "--json")
    assert judged.exit_code == 0
    key = json.loads(judged.stdout)["key"]
    approved = call("health", "approve", key, "--why", "fine", "--data-root", data_root)
    assert approved.exit_code == 0, approved.output
    assert "fine" in approved.output
    assert call("--data-root", data_root, "health", "--json", manifest).exit_code == 0
    assert call("health").exit_code == 2
