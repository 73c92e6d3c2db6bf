"""A gate record is believed only as far as it is so: every row that can be forged, and everything that can go stale."""

import copy
import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beatsight_core.errors import GateError
from beatsight_core.evaluation.evaluate import HitSelection, evaluate, find_evaluation
from beatsight_core.evaluation.predictions import load_predictions
from beatsight_core.files import digest_json, sha256_file, write_json
from beatsight_core.gates.gate import Gate
from beatsight_core.gates.record import PROMOTION_RECORD, SealedRecord, sealed
from beatsight_core.health.report import run_health
from beatsight_core.progress import SilentProgress
from beatsight_core.promotion.criteria import CRITERIA
from beatsight_core.promotion.delivery import export_model
from beatsight_core.promotion.delivery.export_model import check_in_fresh_process, checksums
from beatsight_core.promotion.evidence import gather, inputs
from beatsight_core.promotion.judge import judge, judged, read_promotion_record
from beatsight_core.promotion.matching import mismatches
from beatsight_core.promotion.promote import promote, rollback
from beatsight_core.promotion.version.model_list import list_models
from beatsight_core.runs.records import Run, list_runs, open_run
from beatsight_core.settings import Settings
from beatsight_core.training import checkpoint
from beatsight_core.typed_json import to_json

Candidate = tuple[Settings, Run, dict[str, Any]]


@pytest.fixture(scope="module")
def answers() -> dict[str, dict[str, Any]]:
    return {}


@pytest.fixture(autouse=True)
def one_fresh_process_an_export(monkeypatch: pytest.MonkeyPatch, answers: dict[str, dict[str, Any]]) -> None:
    """The same export gives the same answer; asking a new process once for each keeps these tests quick."""

    def ask(folder: Path) -> dict[str, Any]:
        digest = digest_json({path.name: sha256_file(path) for path in sorted(folder.iterdir())})
        if digest not in answers:
            answers[digest] = check_in_fresh_process(folder)
        return copy.deepcopy(answers[digest])

    monkeypatch.setattr(export_model, "check_in_fresh_process", ask)


@pytest.fixture
def candidate(released: Any) -> Candidate:
    """The second run, a candidate again, with its gate record; version 1 is the champion."""
    rollback(released.settings)
    run = open_run(released.settings, released.second.run_id)
    record = read_promotion_record(run)
    assert record is not None
    return released.settings, run, record.content


def write_sealed(run: Run, record: dict[str, Any]) -> None:
    write_json(run.folder / PROMOTION_RECORD.file, sealed(record, PROMOTION_RECORD.seal))


def refusal(settings: Settings, run: Run) -> str:
    before = (settings.models_dir / "champion.json").read_bytes()
    with pytest.raises(GateError, match="does not hold") as caught:
        promote(settings, run.run_id, device="cpu")
    assert f"beatsight judge {run.run_id}" in str(caught.value)
    assert caught.value.exit_code == 1
    with pytest.raises(GateError, match="does not hold"):
        promote(settings, run.run_id, force="I know better", device="cpu")
    assert (settings.models_dir / "champion.json").read_bytes() == before
    return str(caught.value)


def test_a_record_that_holds_is_used_and_names_what_it_rests_on(
    candidate: Candidate,
) -> None:
    settings, run, record = candidate
    assert judged(settings, run.run_id, device="cpu").reused
    assert [row["name"] for row in record["criteria"]] == list(CRITERIA)
    assert {
        "checkpoint",
        "dataset",
        "spec",
        "thresholds",
        "evaluation",
        "predictions",
        "slice",
        "health",
        "model.onnx",
    } <= set(record["digests"])
    assert record["environment"]["packages"]["torch"]
    assert record["made"]["dagster_run"] is None
    assert record["health"] is None
    assert all(row["details"] for row in record["criteria"])
    assert promote(settings, run.run_id, device="cpu").version == 2


@pytest.mark.parametrize("name", CRITERIA)
def test_a_forged_row_is_refused_by_its_name(candidate: Candidate, name: str) -> None:
    """As it would be forged: a candidate that fails, with a record that says it passes and whose digest fits."""
    settings, run, record = candidate
    row = next(row for row in record["criteria"] if row["name"] == name)
    row |= {"value": (row["value"] or 0.0) + 0.05, "passed": True}
    write_sealed(run, record)
    assert f"{name} is not so: the record says value" in refusal(settings, run)


@pytest.mark.parametrize("name", CRITERIA)
def test_a_row_that_says_it_failed_or_passed_when_it_did_not_is_refused(candidate: Candidate, name: str) -> None:
    _, run, record = candidate
    gates = [Gate.from_json(row) for row in record["criteria"]]

    def differences(rows: Any) -> list[str]:
        content = {**record, "criteria": rows}
        return SealedRecord(PROMOTION_RECORD, run.folder, content, "gate record", "").changed_gates(gates)

    rows = copy.deepcopy(record["criteria"])
    assert differences(rows) == []
    place = next(place for place, row in enumerate(rows) if row["name"] == name)
    rows[place]["passed"] = not rows[place]["passed"]
    assert differences(rows) == [f"{name} is not so: the record says passed False, found True"]
    assert differences(rows[1:])
    assert differences("rows") == ["its criteria are no rows"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"passed": False}, "the verdict"),
        ({"profile": "production"}, "profile (was production, is demo)"),
        ({"notice": None}, "notice (was None, is demo profile"),
        ({"compared_with": None}, "champion (was None, is 1)"),
        ({"run_id": "another"}, "run_id (was another"),
        ({"evaluation_id": "../../elsewhere"}, "the evaluation that it names is gone"),
        ({"evaluation_id": 7}, "the evaluation that it names is gone"),
        ({"export": "../../elsewhere"}, "export (was ../../elsewhere"),
        ({"criteria": []}, "it judges other criteria"),
        ({"digests": {}}, "checkpoint (was None"),
        ({"limits": {}}, "accuracy (was None, is 0.8)"),
        ({"format": 1}, "another format"),
    ],
)
def test_what_else_can_be_forged_is_named(candidate: Candidate, change: dict[str, Any], said: str) -> None:
    settings, run, record = candidate
    write_sealed(run, record | change)
    assert said in refusal(settings, run)


def altered_best(run: Run) -> None:
    best = checkpoint.load(run.checkpoint)
    best["model"]["classifier.bias"] += 0.01
    checkpoint.save_best(run.checkpoint.parent, {name: value for name, value in best.items() if name != "format"})


def test_a_stale_checkpoint_is_named(candidate: Candidate) -> None:
    settings, run, _ = candidate
    altered_best(run)
    assert "these changed: checkpoint (was" in refusal(settings, run)


@pytest.mark.parametrize("name", ["metrics.json", "predictions.parquet"])
def test_a_stale_evaluation_is_named(candidate: Candidate, name: str) -> None:
    settings, run, record = candidate
    path = settings.metrics_dir / run.run_id / record["evaluation_id"] / name
    if name == "metrics.json":
        path.write_bytes(path.read_bytes() + b"\n")
    else:
        predictions = load_predictions(path)
        dataclasses.replace(predictions, probabilities=predictions.probabilities[::-1].copy()).save(path)
    assert f"{name.split('.', maxsplit=1)[0].replace('metrics', 'evaluation')} (was" in refusal(settings, run)


def test_tightened_limits_another_champion_and_a_new_health_report_make_it_stale(
    candidate: Candidate,
) -> None:
    settings, run, _ = candidate
    strict = dataclasses.replace(settings, gates=dataclasses.replace(settings.gates, promotion={"loss": 0.3}))
    assert "these changed: loss (was 0.45, is 0.3)" in refusal(strict, run)
    first = next(each for each in list_runs(settings) if each.run_id != run.run_id)
    rollback(settings, "2")
    with pytest.raises(GateError, match=r"champion \(was None, is 2\)"):
        promote(settings, first.run_id, device="cpu")
    rollback(settings, "1")
    run_health(settings, run.key)
    assert "health (was None, is" in refusal(settings, run)
    again = judge(settings, run.run_id, device="cpu", dagster_run="d-1")
    assert again.record["made"]["dagster_run"] == "d-1"
    assert again.record["health"]["profile"] == "demo"
    run_health(settings, run.key)  # the same verdict on the same data: at another time, yet nothing changed
    assert judged(settings, run.run_id, device="cpu").reused


def forged_evaluation(settings: Settings, run: Run, share: float, *, targets: bool = False) -> dict[str, Any]:
    """Predictions altered to look better, with every digest and figure that names them brought in line."""
    folder = find_evaluation(settings, run)
    assert folder is not None
    path = folder / "predictions.parquet"
    predictions = load_predictions(path)
    rows = np.random.default_rng(1).permutation(len(predictions))[: max(1, int(share * len(predictions)))]
    if targets:
        labels = predictions.targets.copy()
        labels[rows] = predictions.predicted[rows]
        forged = dataclasses.replace(predictions, targets=labels)
    else:
        sure = predictions.probabilities.copy()
        sure[rows] = np.where(predictions.targets[rows], 0.99, 0.01)
        forged = dataclasses.replace(predictions, probabilities=sure)
    forged.save(path)
    content = json.loads((folder / "metrics.json").read_bytes())
    content["metrics"] = to_json(forged.metrics())
    content["digests"]["predictions"] = sha256_file(path)
    write_json(folder / "metrics.json", content)
    found = gather(settings, run, folder, "cpu", SilentProgress())
    return {
        "wrong": mismatches(run, found.features, found.whole, found.part),
        "inputs": inputs(settings, found),
        "metrics": to_json(forged.metrics()),
    }


@pytest.mark.parametrize("targets", [False, True])
def test_altered_answers_or_labels_are_found_though_every_digest_fits(candidate: Candidate, targets: bool) -> None:
    settings, run, record = candidate
    forged = forged_evaluation(settings, run, 1.0 if targets else 0.02, targets=targets)
    (said,) = forged["wrong"]
    expected = "other labels than the dataset" if targets else "other answers than the evaluation holds"
    assert expected in said
    record |= forged["inputs"]
    record["criteria"][0] |= {"value": forged["metrics"]["accuracy"]}
    write_sealed(run, record)
    assert "evaluation_matches is not so" in refusal(settings, run)
    fresh = judge(settings, run.run_id, device="cpu")
    assert "evaluation_matches" in [row["name"] for row in fresh.failed]
    with pytest.raises(GateError, match="no reason lets evaluation_matches pass"):
        promote(settings, run.run_id, force="I know better", device="cpu")


def test_figures_that_are_not_of_the_predictions_fail_the_criterion(
    candidate: Candidate,
) -> None:
    settings, run, record = candidate
    path = settings.metrics_dir / run.run_id / record["evaluation_id"] / "metrics.json"
    content = json.loads(path.read_bytes())
    content["metrics"]["macro_f1"] = 0.999
    write_json(path, content)
    (row,) = [row for row in judge(settings, run.run_id, device="cpu").failed if row["name"] == "evaluation_matches"]
    assert "the figures of the evaluation are not those of its predictions" in row["message"]


def test_a_model_that_does_not_load_is_not_promoted_by_force(
    candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, run, _ = candidate
    monkeypatch.setattr(export_model, "check_in_fresh_process", lambda folder: {"error": "it is no model"})
    assert "exported_model is not so: the record says passed True, found False" in refusal(settings, run)
    assert [row["name"] for row in judge(settings, run.run_id, device="cpu").failed] == ["exported_model"]
    with pytest.raises(GateError, match="no reason lets exported_model pass"):
        promote(settings, run.run_id, force="it will do", device="cpu")
    assert json.loads((settings.models_dir / "champion.json").read_bytes())["version"] == 1


@pytest.mark.parametrize("part", ["thresholds", "components", "weights"])
def test_an_export_of_something_else_is_found_though_its_checksums_fit(candidate: Candidate, part: str) -> None:
    """Whoever exchanges files of an export can write its list of checksums anew as well."""
    settings, run, record = candidate
    export = run.folder / record["export"]
    if part == "weights":
        for path in (settings.models_dir / "versions" / "1").glob("model.*"):
            shutil.copyfile(path, export / path.name)
        shutil.copyfile(settings.models_dir / "versions" / "1" / "selftest.npz", export / "selftest.npz")
    else:
        path = export / f"{part}.json"
        said = json.loads(path.read_bytes())
        changed = {**said[part], "kick": 0.999} if part == "thresholds" else said[part][::-1]
        path.write_text(json.dumps({**said, part: changed}))
    (export / "checksums.json").write_text(json.dumps({"sha256": checksums(export)}))
    refusal(settings, run)
    (row,) = judge(settings, run.run_id, device="cpu").failed
    assert row["name"] == "exported_model"
    assert f"other {part}" in row["message"]
    with pytest.raises(GateError, match="no reason lets exported_model pass"):
        promote(settings, run.run_id, force="it will do", device="cpu")
    if part == "weights":
        shutil.rmtree(export)  # as the message says
        assert judge(settings, run.run_id, device="cpu").passed


def test_what_changes_between_the_judgement_and_the_publication_is_noticed(
    candidate: Candidate,
) -> None:
    settings, run, record = candidate
    judgement = judged(settings, run.run_id, device="cpu")
    path = settings.metrics_dir / run.run_id / record["evaluation_id"] / "metrics.json"
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(GateError, match=r"these changed: evaluation \(was"):
        promote(settings, run.run_id, device="cpu", judgement=judgement)


def test_without_a_record_the_run_is_judged_and_the_record_used(
    candidate: Candidate,
) -> None:
    settings, run, _ = candidate
    (run.folder / PROMOTION_RECORD.file).unlink()
    first = judged(settings, run.run_id, device="cpu")
    assert not first.reused
    assert judged(settings, run.run_id, device="cpu").record == first.record


def test_the_slice_is_evaluated_again_and_judged_as_a_probe_is(candidate: Candidate) -> None:
    settings, run, record = candidate
    row = next(row for row in record["criteria"] if row["name"] == "slice_0.3")
    assert row["passed"]
    assert row["details"][0]["name"] == "accuracy"
    made = evaluate(settings, run.run_id, HitSelection(fraction=0.3), device="cpu")
    assert made.reused
    assert made.folder.name == record["slice_id"]
    strict = dataclasses.replace(settings, gates=dataclasses.replace(settings.gates, probe={"accuracy": 1.0}))
    failed = judge(strict, run.run_id, device="cpu").failed
    assert [row["name"] for row in failed] == ["slice_0.3"]
    assert "accuracy is 0." in failed[0]["message"]


def test_limits_loosened_with_a_reason_promote_and_stay_visible(candidate: Candidate) -> None:
    settings, run, _ = candidate
    given = {"accuracy": 0.1, "exact_match": 0.1}
    gates = dataclasses.replace(settings.gates, promotion=given, loosened={"promotion": "<b>a first corpus</b>"})
    loose = dataclasses.replace(settings, gates=gates)
    judge(loose, run.run_id, device="cpu")
    done = promote(loose, run.run_id, device="cpu")
    said = (
        "promotion limits loosened (accuracy 0.1 instead of 0.8, exact_match 0.1 instead of 0.6): <b>a first corpus</b>"
    )
    assert said in str(done.notice)
    assert said in json.loads((done.folder / "gate.json").read_bytes())["notice"]
    card = (done.folder / "card.md").read_text()
    assert "> **NOTICE: " in card
    assert "promotion limits loosened (accuracy 0.1 instead of 0.8" in card
    assert "&lt;b&gt;a first corpus&lt;/b&gt;" in card  # as it was given
    assert "<b>" not in card.lower()
    row = next(row for row in list_models(loose).models if row.version == done.version)
    assert said in row.notice
