"""What the costly presets must have behind them, by the records on disk."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from beatsight_core.cli.main import beatsight
from beatsight_core.dataset.index import dataset_key
from beatsight_core.errors import GateError, UsageError
from beatsight_core.files import read_json
from beatsight_core.gates.record import HEALTH_REPORT, sealed
from beatsight_core.health.approve import approve, baseline_path
from beatsight_core.health.report import run_health
from beatsight_core.names import file_name
from beatsight_core.promotion.clearance import HEALTH, PROBE, require_clearance, required
from beatsight_core.promotion.health_record import require_health
from beatsight_core.promotion.judge import judged as judged_record
from beatsight_core.promotion.promote import promote
from beatsight_core.promotion.version.model_list import list_models
from beatsight_core.runs.overrides import OVERRIDES, GateOverride, note_overrides, override_notice, read_overrides
from beatsight_core.runs.presets import load_preset
from beatsight_core.runs.records import open_run
from beatsight_core.settings import Settings, load_settings
from beatsight_core.taxonomy import CORE


def clearance(settings: Settings, key: str, preset: str, epochs: int, **options: Any) -> dict[str, GateOverride]:
    """What a preset of so many epochs goes on despite of."""
    return require_clearance(settings, key, load_preset(settings, preset, {"epochs": epochs}), **options)


Edit = Callable[[Callable[[dict[str, Any]], None]], None]


@pytest.fixture
def judged(trained: tuple[Settings, str]) -> tuple[Settings, str, Edit]:
    """A trained data root with a health report that passed; its key; and a way to change the report, seal and all."""
    settings, _ = trained
    none = ", ".join(f"{label} = 0" for label in CORE.components)
    lenient = f"max_offset_rate = 1.0\nrequired_techniques = []\nmin_counts = {{ {none} }}\n"
    file = settings.data_root / "beatsight.toml"
    file.write_text(file.read_text() + lenient)
    settings = load_settings(settings.data_root)
    key = dataset_key(settings, "tiny.jsonl")
    run_health(settings, key)
    path = settings.health_dir / file_name(key) / "report.json"

    def edit(change: Callable[[dict[str, Any]], None]) -> None:
        report = json.loads(path.read_bytes())
        change(report)
        path.write_text(json.dumps(sealed(report, HEALTH_REPORT.seal)))

    return settings, key, edit


def test_a_report_of_this_dataset_that_passed_is_enough(judged: tuple[Settings, str, Edit]) -> None:
    settings, key, _ = judged
    assert all(gate.passed for gate in require_health(settings, key))
    assert clearance(settings, key, "baseline", 1) == {}


def test_failed_gates_are_named(judged: tuple[Settings, str, Edit]) -> None:
    settings, key, _ = judged
    strict = replace(settings, gates=replace(settings.gates, min_counts={**settings.gates.min_counts, "snare": 9_999}))
    run_health(strict, key)
    with pytest.raises(GateError, match=r"1 of \d+ health gates failed: hits with snare \("):
        require_health(strict, key)


def test_an_edited_report_does_not_count_and_one_sealed_again_is_found_by_its_figures(
    judged: tuple[Settings, str, Edit],
) -> None:
    settings, key, edit = judged
    path = settings.health_dir / file_name(key) / "report.json"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"passed": true', b'"passed":  true', 1).replace(b'"made": "2', b'"made": "1', 1))
    with pytest.raises(GateError, match="altered after it was written"):
        require_health(settings, key)
    report = json.loads(whole)
    report.pop("seal")
    path.write_text(json.dumps(report))
    with pytest.raises(GateError, match="altered after it was written"):
        require_health(settings, key)
    path.write_bytes(whole)
    counts = next(gate["name"] for gate in report["gates"] if gate["group"] == "counts")

    def better(report: dict[str, Any]) -> None:
        gate = next(gate for gate in report["gates"] if gate["name"] == counts)
        gate["value"] += 1000

    edit(better)
    with pytest.raises(GateError, match=f"does not hold: {counts} is not so: the record says value"):
        require_health(settings, key)
    path.write_bytes(whole)
    assert require_health(settings, key)


def test_a_baseline_approved_since_the_report_is_held_against_it(judged: tuple[Settings, str, Edit]) -> None:
    settings, key, edit = judged
    path = settings.health_dir / file_name(key) / "report.json"
    alone = path.read_bytes()
    approve(settings, key)
    approved = baseline_path(settings)
    assert require_health(settings, key)  # its own baseline
    baseline = json.loads(approved.read_bytes())
    baseline["statistics"]["hits"]["classes"]["kick"]["hits"] *= 3
    approved.write_text(json.dumps(sealed(baseline, HEALTH_REPORT.seal)))
    with pytest.raises(GateError, match=r"gates failed: largest drop of a class since the baseline \(kick lost "):
        require_health(settings, key)
    run_health(settings, key)
    compared = json.loads(path.read_bytes())
    assert not compared["passed"]

    def forget(report: dict[str, Any]) -> None:
        report["gates"] = [gate for gate in report["gates"] if gate["group"] != "baseline"]
        report["passed"] = True

    edit(forget)
    with pytest.raises(GateError, match=r"it judges other gates than .*largest drop of a class"):
        require_health(settings, key)
    path.write_bytes(alone)
    approved.unlink()
    assert require_health(settings, key)


def test_a_report_by_other_limits_or_of_another_manifest_does_not_count(judged: tuple[Settings, str, Edit]) -> None:
    settings, key, edit = judged
    tighter = replace(settings, gates=replace(settings.gates, max_duplication_rate=0.001))
    with pytest.raises(GateError, match=r"these changed: max_duplication_rate \(was 0.005, is 0.001\)"):
        require_health(tighter, key)
    with pytest.raises(GateError, match=r"these changed: min_counts"):
        require_health(replace(settings, gates=replace(settings.gates, min_counts={"kick": 2})), key)
    edit(lambda report: report.update(sha256="of another manifest"))
    with pytest.raises(GateError, match=r"these changed: sha256 \(was of another manifest, is"):
        require_health(settings, key)


def test_a_report_of_another_state_of_things_does_not_count(judged: tuple[Settings, str, Edit]) -> None:
    settings, key, edit = judged
    strict = replace(settings, gates=replace(settings.gates, profile="production"))
    with pytest.raises(GateError, match=r"these changed: profile \(was demo, is production\)"):
        require_health(strict, key)
    edit(lambda report: report["statistics"]["export"].update(digest="of another dataset"))
    with pytest.raises(GateError, match=r"these changed: dataset \(was of another dataset, is"):
        require_health(settings, key)
    edit(lambda report: report.pop("statistics"))
    with pytest.raises(GateError, match="it has another format"):
        require_health(settings, key)


def test_the_probe_needs_no_record_and_the_others_do(settings: Settings) -> None:
    assert clearance(settings, "m-1", "warmup", 1) == {}
    for preset in ("baseline", "long_run"):
        with pytest.raises(GateError, match="no health report of this manifest"):
            clearance(settings, "m-1", preset, 1)


def test_another_name_for_as_many_epochs_is_no_way_around(settings: Settings) -> None:
    assert required("warmup", 8) == required("warmup", 59) == ()
    assert required("warmup", 60) == required("baseline", 1) == required("baseline", 219) == (HEALTH,)
    assert required("warmup", 220) == required("baseline", 220) == required("long_run", 1) == (HEALTH, PROBE)
    with pytest.raises(GateError, match="no health report of this manifest"):
        clearance(settings, "m-1", "warmup", 60)
    with pytest.raises(GateError, match="no finished warm-up probe"):
        clearance(settings, "m-1", "baseline", 220, reasons={HEALTH: "only a trial"})


def test_a_reason_lets_one_go_on_and_is_kept(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(GateError, match="no finished warm-up probe"):
        clearance(settings, "m-1", "long_run", 1, reasons={HEALTH: "only a trial"})
    waived = clearance(settings, "m-1", "long_run", 1, reasons={HEALTH: "only a trial", PROBE: "only a trial"})
    assert set(waived) == {HEALTH, PROBE}
    assert str(waived[HEALTH]).startswith("only a trial (refused: There is no health report")
    with pytest.raises(UsageError, match="blank reason"):
        clearance(settings, "m-1", "long_run", 1, reasons={HEALTH: " "})


def call(root: Path, *words: str) -> Any:
    return CliRunner().invoke(beatsight, [*words, "--device", "cpu", "--data-root", str(root), "--json"])


@pytest.mark.parametrize("preset", ["baseline", "long_run"])
def test_the_command_line_asks_as_the_graph_does(trained: tuple[Settings, str], preset: str) -> None:
    settings, _ = trained
    words = ["train", "tiny.jsonl", "--preset", preset, "--set", "epochs=1", "--set", "batch=16"]
    refused = call(settings.data_root, *words)
    assert refused.exit_code == 1
    assert "no health report" in json.loads(refused.stdout)["error"]["what"]
    assert not list(settings.run_root.glob(f"{preset}-*"))
    if preset == "baseline":
        done = call(settings.data_root, *words, "--override-health", "a test of the whole")
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["despite"]["health"].startswith("a test of the whole (refused: ")
        (noted,) = read_overrides(settings.run_root / json.loads(done.stdout)["run_id"])
        assert (noted["gate"], noted["reason"]) == ("health", "a test of the whole")
        assert "There is no health report" in noted["refused"]


def test_a_reason_is_for_the_gate_that_it_names(trained: tuple[Settings, str]) -> None:
    settings, _ = trained
    words = ["train", "tiny.jsonl", "--preset", "long_run", "--set", "epochs=1"]
    refused = call(settings.data_root, *words, "--override-probe", "the probe was of other data")
    assert "no health report" in json.loads(refused.stdout)["error"]["what"]
    refused = call(settings.data_root, *words, "--override-health", "known faults")
    assert "no finished warm-up probe of this recipe" in json.loads(refused.stdout)["error"]["what"]
    assert not list(settings.run_root.glob("long_run-*"))


@pytest.mark.long
def test_what_a_run_went_on_despite_of_stays_with_it_and_its_release(trained: tuple[Settings, str]) -> None:
    settings, run_id = trained
    run = open_run(settings, run_id)
    assert override_notice(run.folder) is None
    reason = "listened to <all> of it"
    for refused in ("7 gates failed", "6 gates failed"):  # two sittings
        note_overrides(run.folder, [GateOverride(HEALTH, reason, refused)])
    assert [line["refused"] for line in read_overrides(run.folder)] == ["7 gates failed", "6 gates failed"]
    said = f"trained although the health gate refused: {reason}"
    assert override_notice(run.folder) == said
    result = promote(settings, run_id, device="cpu")
    assert result.notice is not None
    assert said in result.notice
    assert said in read_json(result.folder / "gate.json")["notice"]
    assert "trained although the health gate refused: listened to &lt;all&gt; of it" in (
        (result.folder / "card.md").read_text()
    )
    assert list_models(settings).models[0].notice == result.notice
    (run.folder / OVERRIDES).unlink()
    with pytest.raises(GateError, match="since the record was written these changed: notice"):
        judged_record(settings, run_id, device="cpu")
