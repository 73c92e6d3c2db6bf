"""The last check before a version may be champion: its own files, loaded in a fresh process; no force helps."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from beatsight_core.errors import GateError, UnfitError
from beatsight_core.evaluation.predict import read_weights
from beatsight_core.files import read_json
from beatsight_core.promotion.delivery.export_model import check_in_fresh_process
from beatsight_core.promotion.delivery.infrastructure import CHECKS, infrastructure_checks
from beatsight_core.promotion.promote import promote, rollback
from beatsight_core.promotion.version.write_version import INFRASTRUCTURE
from beatsight_core.runs.lookup import champion_version


def limited(settings, **limits):
    return dataclasses.replace(settings, release=dataclasses.replace(settings.release, **limits))


def failed(rows):
    return {row.name for row in rows if not row.passed}


def copy_of_a_version(released, tmp_path):
    return shutil.copytree(released.settings.models_dir / "versions" / "1", tmp_path / "version")


def test_every_check_of_a_sound_version_passes_and_is_kept_with_it(released):
    kept = read_json(released.settings.models_dir / "versions" / "2" / INFRASTRUCTURE)["checks"]
    assert [row["name"] for row in kept] == list(CHECKS)
    assert all(row["passed"] and row["margin"] >= 0 for row in kept)
    assert released.second.to_json()["infrastructure"] == kept
    latency = next(row for row in kept if row["name"] == "latency")
    assert "model.onnx" in latency["message"]
    assert 0 < latency["value"] < latency["limit"] == 50


def test_a_version_that_says_something_else_is_found_by_its_self_test(released, tmp_path):
    folder = copy_of_a_version(released, tmp_path)
    with np.load(folder / "selftest.npz") as stored:
        clips, expected = stored["clips"], stored["probabilities"]
    np.savez(folder / "selftest.npz", clips=clips, probabilities=1 - expected)
    rows = infrastructure_checks(released.settings, folder)
    assert failed(rows) == {"selftest_agrees", "selftest_says_the_same"}
    assert next(row.value for row in rows if row.name == "selftest_says_the_same") == len(clips)


@pytest.mark.long
def test_answers_that_are_no_numbers_are_no_small_difference(released, tmp_path):
    names = ("model.pth", "model.safetensors")  # while the graph, which is asked first, answers as it should
    folder = copy_of_a_version(released, tmp_path)
    weights = read_weights(folder / "model.pth")
    weights["classifier.bias"][:] = float("nan")
    for name in names:
        torch.save(weights, folder / name) if name.endswith(".pth") else save_file(weights, folder / name)
    answer = check_in_fresh_process(folder)
    assert {name: value for name, value in answer["differences"].items() if value == float("inf")}.keys() == set(names)
    rows = infrastructure_checks(released.settings, folder)
    assert "selftest_agrees" in failed(rows)
    json.dumps([row.to_json() for row in rows], allow_nan=False)


def test_a_form_that_does_not_load_is_named(released, tmp_path):
    folder = copy_of_a_version(released, tmp_path)
    (folder / "model.onnx").write_bytes(b"not a model")
    rows = infrastructure_checks(released.settings, folder)
    assert failed(rows) == {"forms_load", "selftest_agrees", "selftest_says_the_same", "latency"}
    assert "onnx" in rows[0].message.lower()


def test_too_slow_and_too_large_is_never_promoted_not_even_by_force(released):
    settings = limited(released.settings, max_latency_ms=1e-9, max_size_mb=1e-3)
    rollback(settings)
    shutil.rmtree(settings.models_dir / "versions" / "2")  # as before its promotion
    with pytest.raises(UnfitError, match=r"time for one clip.*size of the version") as caught:
        promote(settings, released.second.run_id, force="it is urgent", device="cpu")
    assert caught.value.exit_code == 1
    assert [row["name"] for row in caught.value.rows if not row["passed"]] == ["latency", "size"]
    assert "--force does not help" in str(caught.value)
    assert champion_version(settings) == 1
    assert [path.name for path in (settings.models_dir / "versions").iterdir()] == ["1"]


@pytest.mark.long
def test_it_is_asked_again_of_a_version_that_was_there_already(released):
    rollback(released.settings)  # its record still counts, and the version made of it is found
    with pytest.raises(GateError, match="size of the version"):
        promote(limited(released.settings, max_size_mb=1e-3), released.second.run_id, device="cpu")
    assert champion_version(released.settings) == 1
