"""The probe's gate record on real probes: what it rests on, when it lets a long run pass, when it does not hold."""

import dataclasses
import json
from typing import Any

import pytest
from click.testing import CliRunner

from beatsight_core.cli.main import beatsight
from beatsight_core.errors import GateError, UsageError
from beatsight_core.evaluation.evaluate import find_evaluation
from beatsight_core.files import read_json, write_json
from beatsight_core.gates.record import PROBE_RECORD, sealed
from beatsight_core.promotion.clearance import HEALTH, PROBE, require_clearance
from beatsight_core.promotion.probe_recipe import CARRIED_OUT, COURSE
from beatsight_core.promotion.probe_record import judge_probe, previous_probe, require_probe
from beatsight_core.runs.presets import TrainingConfig, load_preset
from beatsight_core.runs.records import HISTORY, Run, list_runs, open_run
from beatsight_core.settings import Settings, load_settings


def with_probe_limits(settings: Settings, **limits: float) -> Settings:
    return dataclasses.replace(settings, gates=dataclasses.replace(settings.gates, probe=limits))


@pytest.fixture
def probe(trained: tuple[Settings, str]) -> tuple[Settings, Run]:
    """A data root whose probe has as many epochs as its preset has there."""
    settings, run_id = trained
    run = open_run(settings, run_id)
    file = settings.data_root / "beatsight.toml"
    file.write_text(f"{file.read_text()}[training.warmup]\nepochs = {run.config.epochs}\n")
    return load_settings(settings.data_root, {}), run


def long_of(settings: Settings, run: Run, **changes: Any) -> TrainingConfig:
    """A long run of the recipe of a probe, but for some values."""
    recipe = {name: value for name, value in run.config.to_json().items() if name not in (*COURSE, *CARRIED_OUT)}
    return load_preset(settings, "long_run", {**recipe, **changes})


def required(settings: Settings, run: Run) -> list[dict[str, Any]]:
    """The gates of the probe that a long run of a run's recipe goes by."""
    return require_probe(settings, run.key, long_of(settings, run))[1]


def test_a_probe_that_nobody_judged_is_judged_by_its_evaluation(probe: tuple[Settings, Run]) -> None:
    settings, run = probe
    assert find_evaluation(settings, run) is None
    gates = required(settings, run)
    names = [gate["name"] for gate in gates]
    assert names[0] == "accuracy"
    assert {"confusion_kick_and_ride_bow", "confusion_hihat_and_snare", "finite", "validation_flat"} <= set(names)
    record = read_json(run.folder / PROBE_RECORD.file)
    folder = find_evaluation(settings, run)
    assert folder is not None
    assert record["evaluation_id"] == folder.name
    assert record["gates"][0]["value"] == read_json(folder / "metrics.json")["metrics"]["accuracy"]
    assert {"checkpoint", "dataset", "spec", "thresholds", "predictions", "history", "previous"} == set(
        record["digests"]
    )
    assert record["compared_with"] is None
    assert required(settings, run) == gates


def test_each_kind_of_gate_holds_the_long_run_back(probe: tuple[Settings, Run]) -> None:
    settings, run = probe
    strict = with_probe_limits(settings, accuracy=0.9999)
    with pytest.raises(GateError, match=r"not healthy: accuracy is 0\.\d+, must be at least 0.9999") as refusal:
        required(strict, run)
    assert refusal.value.where == run.run_id
    (run.folder / PROBE_RECORD.file).unlink()
    with pytest.raises(GateError, match=r"recall crash is \d\.\d+, must be above 1"):
        required(with_probe_limits(settings, recall=1.0), run)
    (run.folder / PROBE_RECORD.file).unlink()
    lines = [json.loads(line) for line in (run.folder / HISTORY).read_text().splitlines()]
    risen = [{**line, "val_loss": 0.1 * line["epoch"]} for line in lines]
    (run.folder / HISTORY).write_text("".join(json.dumps(line) + "\n" for line in risen))
    with pytest.raises(GateError, match=r"not healthy: validation loss rose by"):
        required(settings, run)


def test_a_long_run_is_blocked_and_goes_on_only_for_a_reason(probe: tuple[Settings, Run]) -> None:
    settings, run = probe
    strict, despite = with_probe_limits(settings, accuracy=0.9999), {HEALTH: "a trial"}
    with pytest.raises(GateError, match="probe is not healthy"):
        require_clearance(strict, run.key, long_of(strict, run), reasons=despite)
    waived = require_clearance(strict, run.key, long_of(strict, run), reasons=despite | {PROBE: "a trial"})
    assert str(waived[PROBE]).startswith("a trial (refused: The warm-up probe is not healthy")


def test_a_probe_that_was_trained_from_a_terminal_is_judged_at_once(probe: tuple[Settings, Run]) -> None:
    settings, run = probe
    changed = json.loads((run.folder / "config.json").read_bytes())["config"]
    shipped = dataclasses.asdict(load_preset(settings, "warmup"))
    chosen = [f"--set={name}={value}" for name, value in changed.items() if shipped.get(name) != value]
    words = ["train", run.key, *chosen, "--device", "cpu", "--data-root", str(settings.data_root)]
    done = CliRunner().invoke(beatsight, [*words, "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["run_id"], said["was_finished"]) == (run.run_id, True)
    assert said["probe"]["passed"]
    assert read_json(run.folder / PROBE_RECORD.file)["digest"] == said["probe"]["digest"]
    file = settings.data_root / "beatsight.toml"
    file.write_text(file.read_text() + "[gates.probe]\naccuracy = 0.9999\n")
    done = CliRunner().invoke(beatsight, words)
    assert done.exit_code == 0  # it is trained; the long run is what is held back
    assert "not healthy" in done.output
    assert "must be at least 0.9999" in done.output


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"passed": False}, "the verdict"),
        ({"limits": {}}, r"accuracy \(was None"),
        ({"digests": {}}, r"checkpoint \(was None"),
        ({"compared_with": "another"}, r"compared_with \(was another"),
        ({"gates": []}, "other gates"),
        ({"format": 0}, "another format"),
    ],
)
def test_a_forged_record_does_not_hold(probe: tuple[Settings, Run], change: dict[str, Any], said: str) -> None:
    settings, run = probe
    record = judge_probe(settings, run.run_id)
    write_json(run.folder / PROBE_RECORD.file, sealed(record | change, PROBE_RECORD.seal))
    with pytest.raises(GateError, match=said) as refusal:
        required(settings, run)
    assert f"beatsight judge --probe {run.run_id}" in str(refusal.value)


def test_altered_and_stale_records_do_not_hold(probe: tuple[Settings, Run]) -> None:
    settings, run = probe
    record = judge_probe(settings, run.run_id)
    path = run.folder / PROBE_RECORD.file
    forged = json.loads(json.dumps(record))
    forged["gates"][0] |= {"value": 0.9999}
    write_json(path, forged)
    with pytest.raises(GateError, match="altered after it was written"):
        required(settings, run)
    write_json(path, sealed(forged, PROBE_RECORD.seal))
    with pytest.raises(GateError, match=r"accuracy is not so: the record says value 0\.9999"):
        required(settings, run)
    path.write_text("{")
    with pytest.raises(GateError, match="does not hold"):
        required(settings, run)
    judge_probe(settings, run.run_id)
    with pytest.raises(GateError, match=r"these changed: recall \(was 0, is 0.1\)"):
        required(with_probe_limits(settings, recall=0.1), run)
    lines = (run.folder / HISTORY).read_text().splitlines(keepends=True)
    (run.folder / HISTORY).write_text("".join(lines[:-1]))
    with pytest.raises(GateError, match=r"these changed: history \(was"):
        required(settings, run)


def test_the_second_probe_is_compared_with_the_first(released: Any) -> None:
    settings = released.settings
    first, second = (open_run(settings, each.run_id) for each in (released.first, released.second))
    assert [run.run_id for run in list_runs(settings)] == [second.run_id, first.run_id]
    assert previous_probe(settings, first) is None
    earlier = previous_probe(settings, second)
    assert earlier is not None
    assert earlier.run_id == first.run_id
    record = judge_probe(settings, second.run_id)
    assert record["compared_with"] == first.run_id
    (gate,) = [gate for gate in record["gates"] if gate["name"] == "confusion_hihat_and_snare"]
    assert "before in" in gate["message"]
    folder = find_evaluation(settings, first)
    assert folder is not None
    by_evaluation = read_json(folder / "metrics.json")["pairs"]
    for path in sorted(folder.iterdir()):
        path.unlink()
    again = judge_probe(settings, second.run_id)  # the first one's own curves tell the same
    assert [gate["message"] for gate in again["gates"]] == [gate["message"] for gate in record["gates"]]
    assert by_evaluation


def test_it_is_judged_from_a_terminal(probe: tuple[Settings, Run]) -> None:
    settings, run = probe
    words = ["judge", run.run_id, "--device", "cpu", "--data-root", str(settings.data_root)]
    done = CliRunner().invoke(beatsight, [*words, "--probe"])
    assert done.exit_code == 0, done.output
    assert "a long run may follow" in done.output
    file = settings.data_root / "beatsight.toml"
    file.write_text(file.read_text() + "[gates.probe]\naccuracy = 0.9999\n")
    done = CliRunner().invoke(beatsight, [*words, "--probe", "--json"])
    assert done.exit_code == 1
    assert not json.loads(done.stdout)["passed"]


def test_only_a_probe_is_judged_as_one(probe: tuple[Settings, Run]) -> None:
    settings, run = probe
    config = run.folder / "config.json"
    config.write_text(config.read_text().replace('"warmup"', '"baseline"'))
    with pytest.raises(UsageError, match="of preset baseline"):
        judge_probe(settings, run.run_id)
