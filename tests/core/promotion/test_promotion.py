"""Promotion, refusal, force, rollback on real runs."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from beatsight_core.errors import GateError, ModelError, UsageError
from beatsight_core.evaluation.predict import Predictor, weights_of
from beatsight_core.files import sha256_file
from beatsight_core.gates.record import PROMOTION_RECORD
from beatsight_core.gates.release_limits import DEMO_NOTICE
from beatsight_core.promotion.criteria import CRITERIA
from beatsight_core.promotion.delivery.export_model import check_in_fresh_process
from beatsight_core.promotion.judge import judge, judged, read_promotion_record
from beatsight_core.promotion.promote import champion, promote, rollback
from beatsight_core.promotion.version.model_list import list_models
from beatsight_core.runs.lookup import find_model, verified_version
from beatsight_core.runs.records import open_run
from beatsight_core.training import checkpoint

PARTS = {
    "model.pth", "model.safetensors", "model.onnx", "components.json", "feature_spec.json", "thresholds.json",
    "metrics.json", "gate.json", "environment.json", "card.md", "config.json", "version.json", "selftest.npz",
    "checksums.json", "infrastructure.json",
}  # fmt: skip


def tightened(settings, **limits):
    return dataclasses.replace(settings, gates=dataclasses.replace(settings.gates, promotion=limits))


def everything(root):
    return {
        path.relative_to(root).as_posix(): sha256_file(path)
        for path in (root / "models").rglob("*")
        if path.is_file() and path.name != ".lock" and "pairs" not in path.parts  # seen through their names
    }


def test_a_version_holds_everything(released):
    folder = released.settings.models_dir / "versions" / "1"
    assert {path.name for path in folder.iterdir()} == PARTS
    record = json.loads((folder / "gate.json").read_text())
    assert [row["name"] for row in record["criteria"]] == list(CRITERIA)
    assert record["passed"]
    spec = json.loads((folder / "feature_spec.json").read_text())
    assert spec["normalisation"].items() >= {"applied_by": "the model", "reference": "bands"}.items()
    assert len(spec["normalisation"]["mean_db"]) == spec["spec"]["n_mels"]
    card = (folder / "card.md").read_text()
    assert f"> **NOTICE: {DEMO_NOTICE}**" in card
    assert "| tiny | unknown | 420 |" in card
    assert not list((released.root / "models" / "versions").glob("*tmp*"))


def test_the_first_has_no_one_to_be_compared_with_and_the_second_the_first(released):
    first, second = (json.loads(json.dumps(each.to_json())) for each in (released.first, released.second))
    assert (first["version"], first["previous"]) == (1, None)
    assert (second["version"], second["previous"]) == (2, 1)
    told = {row["name"]: row["message"] for row in second["criteria"]}
    assert "version 1 (same hits)" in told["no_class_worse"]


def test_defect_10_weights_have_the_same_key_names_wherever_they_are_saved(released):
    settings = released.settings
    run = open_run(settings, released.second.run_id)
    newest = checkpoint.load_newest(run.folder / "checkpoints").state["model"]
    best = weights_of(run)
    folder = settings.models_dir / "versions" / "2"
    plain = torch.load(folder / "model.pth", weights_only=True)
    current = torch.load(settings.models_dir / "current_drum_classifier.pth", weights_only=True)
    safe = load_file(folder / "model.safetensors")
    assert list(newest) == list(best) == list(plain) == list(current)
    assert set(safe) == set(plain)
    for name, tensor in best.items():
        assert torch.equal(tensor, plain[name])
        assert torch.equal(tensor, current[name])
        assert torch.equal(tensor, safe[name])


def test_defect_10_a_promotion_can_be_taken_back(released):
    settings = released.settings
    current = settings.models_dir / "current_drum_classifier.pth"
    sidecar = settings.models_dir / "current_drum_classifier.json"
    assert sha256_file(current) == sha256_file(settings.models_dir / "versions/2/model.pth")
    before = everything(released.root)
    result = rollback(settings)
    assert result.to_json()["version"] == 1
    assert result.previous == 2
    assert sha256_file(current) == sha256_file(settings.models_dir / "versions/1/model.pth")
    assert json.loads(sidecar.read_text())["version"] == 1
    assert json.loads(sidecar.read_text())["sha256"] == sha256_file(current)
    with pytest.raises(ModelError, match="no champion"):
        rollback(settings)
    rollback(settings, "2", why="it was right after all")
    after = everything(released.root)
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    # Promoted and rolled back to within a second, the sidecar has the same time and is the same.
    assert changed - {"models/current_drum_classifier.json"} == {"models/champion.json", "models/history.jsonl"}
    lines = [json.loads(line) for line in (settings.models_dir / "history.jsonl").read_text().splitlines()]
    assert [(line["version"], line["action"]) for line in lines] == [
        (1, "promote"), (2, "promote"), (1, "rollback"), (2, "rollback"),
    ]  # fmt: skip
    assert lines[-1]["why"] == "it was right after all"
    assert json.loads(sidecar.read_text())["since"] == lines[-1]["at"]
    assert json.loads(sidecar.read_text())["version"] == 2


def test_promoting_the_champion_again_changes_nothing(released):
    before = everything(released.root)
    result = promote(released.settings, released.second.run_id)
    assert result.already
    assert result.version == 2
    assert everything(released.root) == before
    assert judged(released.settings, released.second.run_id).reused


@pytest.mark.parametrize("name", ["current_drum_classifier.pth", "current_drum_classifier.json", "history.jsonl"])
@pytest.mark.parametrize("damage", ["gone", "other"])
def test_what_derives_from_the_pointer_is_made_good_by_the_next_look(released, name, damage):
    path = released.settings.models_dir / name
    before = everything(released.root)
    path.unlink()
    if damage == "other":
        path.write_bytes(b"something else")
    assert champion(released.settings).version == 2
    assert everything(released.root) == before


def test_a_broken_version_is_found_and_never_becomes_champion(released):
    settings = released.settings
    (settings.models_dir / "versions/1/thresholds.json").write_text("{}")
    before = everything(released.root)
    with pytest.raises(ModelError, match=r"thresholds\.json"):
        rollback(settings)
    with pytest.raises(ModelError, match=r"thresholds\.json"):
        verified_version(settings, 1)
    assert everything(released.root) == before
    assert champion(settings).version == 2


@pytest.mark.parametrize(
    ("version", "error"), [("9", ModelError), ("best", UsageError), ("", UsageError), ("../1", UsageError)]
)
def test_a_rollback_to_what_is_not_there_is_an_error(released, version, error):
    with pytest.raises(error):
        rollback(released.settings, version)
    assert champion(released.settings).version == 2


def test_models_are_listed_newest_first_with_what_is_to_be_known(released):
    listed = list_models(released.settings).to_json()
    assert listed["champion"] == 2
    assert [(row["version"], row["role"]) for row in listed["models"]] == [(2, "champion"), (1, "previous")]
    assert all(row["notice"] == DEMO_NOTICE for row in listed["models"])
    assert listed["models"][0]["accuracy"] > 0.8


def test_nothing_promoted_is_an_empty_list_and_makes_no_folder(settings):
    nobody = {"champion": None, "previous": None, "challenger": None, "models": [], "history": []}
    nobody |= {"external": [], "interrupted": None}
    assert list_models(settings).to_json() == nobody
    assert champion(settings) is None
    with pytest.raises(ModelError, match="no champion"):
        rollback(settings)
    with pytest.raises(ModelError, match="no champion"):
        find_model(settings)
    assert not settings.models_dir.exists()


def test_refused_with_every_reason_then_forced_with_one_that_stays(released):
    settings = tightened(released.settings, accuracy=0.9999, exact_match=0.9999)
    rollback(settings)  # so that the second run is a candidate again
    before = everything(released.root)
    with pytest.raises(GateError, match=r"does not hold: since the record was written these changed: accuracy \(was"):
        promote(settings, released.second.run_id, device="cpu")
    judge(settings, released.second.run_id, device="cpu")
    with pytest.raises(GateError) as caught:
        promote(settings, released.second.run_id, device="cpu")
    assert caught.value.exit_code == 1
    for part in ("accuracy 0.", "limit ≥ 0.9999", "exact_match"):
        assert part in str(caught.value)
    assert "f1_kick" not in str(caught.value)
    assert everything(released.root) == before
    with pytest.raises(UsageError, match="reason"):
        promote(settings, released.second.run_id, force="  ")

    forced = promote(settings, released.second.run_id, force="the | <b>label</b> noise", device="cpu")
    assert forced.version == 3
    assert not forced.to_json()["passed"]
    card = (forced.folder / "card.md").read_text()
    assert "PROMOTED BY FORCE" in card
    assert "the \\| &lt;b&gt;label&lt;/b&gt; noise" in card
    assert "**NOT MET** | accuracy" in card
    rollback(settings)
    row = next(row for row in list_models(settings).models if row.version == 3)
    assert row.forced == "the | <b>label</b> noise"
    assert "PROMOTED BY FORCE" in row.notice
    assert any(entry["forced"] for entry in list_models(settings).history)


def test_an_altered_record_does_not_count(released):
    run = open_run(released.settings, released.second.run_id)
    assert read_promotion_record(run).passed
    path = run.folder / PROMOTION_RECORD.file
    path.write_text(path.read_text().replace('"value"', '"valve"', 1))
    with pytest.raises(GateError, match="does not hold: it was altered after it was written"):
        read_promotion_record(run)
    path.write_text("{")
    with pytest.raises(GateError, match=f"The gate record of {run.run_id} does not hold"):
        read_promotion_record(run)
    path.unlink()
    assert read_promotion_record(run) is None


def test_an_evaluation_of_something_else_fails_its_criterion(trained):
    from beatsight_core.evaluation.evaluate import evaluate

    settings, run_id = trained
    run = open_run(settings, run_id)
    evaluate(settings, run_id, device="cpu")
    best = checkpoint.load(run.checkpoint)
    best["model"]["classifier.bias"] += 0.5
    checkpoint.save_best(run.checkpoint.parent, {name: value for name, value in best.items() if name != "format"})
    judgement = judge(settings, run_id, device="cpu")
    assert [row["name"] for row in judgement.failed] == ["evaluation_matches"]
    assert "another checkpoint" in judgement.failed[0]["message"]
    assert f"beatsight evaluate {run_id}" in judgement.failed[0]["message"]


def test_an_export_that_does_not_load_elsewhere_is_told(released, tmp_path):
    folder = tmp_path / "version"
    shutil.copytree(released.settings.models_dir / "versions" / "1", folder)
    (folder / "model.onnx").write_bytes(b"not a model")
    assert "error" in check_in_fresh_process(folder)


def test_a_version_answers_as_the_run_did(released):
    settings = released.settings
    run = open_run(settings, released.second.run_id)
    clips = np.random.default_rng(0).uniform(-80, 0, (5, run.spec.n_mels, run.spec.frames)).astype(np.float32)
    ours = Predictor.load(run, "cpu").predict(clips)
    version = Predictor.load(find_model(settings), "cpu")
    assert np.array_equal(ours, version.predict(clips))
    assert version.name == "version 2"
    assert np.array_equal(version.thresholds, run.thresholds.astype(np.float32))
