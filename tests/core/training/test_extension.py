"""More epochs than a run was made with: a run of its own that goes on from it, and only if asked for."""

import dataclasses
import json
import logging
import shutil

import pytest

from beatsight_core.errors import ModelError, UsageError
from beatsight_core.runs import records
from beatsight_core.settings import load_settings
from beatsight_core.training import checkpoint, extension
from beatsight_core.training.run import RunOptions, open_run, train

FAST = {"epochs": 2, "lr": 5e-3, "batch": 16, "accumulation": 1, "warmup_epochs": 0.5, "least_steps": 0}


@pytest.fixture(scope="module")
def parent_once(trained_once, tmp_path_factory):
    """A data root with a finished run of two epochs, its key, and what training it gave. Not to be changed."""
    root, run_id = trained_once
    settings = load_settings(shutil.copytree(root, tmp_path_factory.mktemp("parent") / "data"), {})
    key = open_run(settings, run_id).key
    return settings.data_root, key, train(settings, key, overrides=FAST, device="cpu")


@pytest.fixture
def parent(parent_once, tmp_path):
    """Settings, key, and the run of two epochs, in a data root of the test's own."""
    root, key, result = parent_once
    settings = load_settings(shutil.copytree(root, tmp_path / "parent"), {})
    return settings, key, dataclasses.replace(result, folder=settings.run_root / result.run_id)


def extend(settings, key, run_id, **changes):
    options = RunOptions(extend=run_id)
    return train(settings, key, overrides={**FAST, "epochs": 5, **changes}, device="cpu", options=options)


def rates(folder):
    return [record["lr"] for record in records.read_history(folder)]


@pytest.mark.long
def test_it_goes_on_from_the_newest_checkpoint_with_the_longer_schedule(parent):
    settings, key, short = parent
    longer = extend(settings, key, short.run_id)
    from_the_start = train(settings, key, overrides={**FAST, "epochs": 5}, device="cpu")
    assert (longer.epochs, longer.status) == (5, "finished")
    assert rates(longer.folder)[:2] == rates(short.folder)
    assert rates(longer.folder)[2:] == rates(from_the_start.folder)[2:]
    # Where it comes from can be read, and the other run is as it was.
    said = json.loads((longer.folder / records.CONFIG).read_text())["extends"]
    assert said["run_id"] == short.run_id
    assert (said["epoch"], said["epochs"]) == (2, 2)
    assert said["rate_here"] > said["rate_there"]
    newest = checkpoint.last_checkpoints(short.folder / records.CHECKPOINTS)[0][1]
    assert said["checkpoint"] == checkpoint.sha256_file(newest)
    assert open_run(settings, short.run_id).status == "finished"
    again = extend(settings, key, short.run_id)
    assert (again.run_id, again.resumed) == (longer.run_id, True)


def test_without_being_asked_a_longer_schedule_is_another_run_from_the_start(parent, caplog):
    settings, key, short = parent
    logging.getLogger("beatsight").propagate = True
    caplog.set_level(logging.INFO, "beatsight")
    longer = train(settings, key, overrides={**FAST, "epochs": 3}, device="cpu")
    assert longer.run_id != short.run_id
    assert f"--extend {short.run_id} would go on from there" in caplog.text
    assert "extends" not in json.loads((longer.folder / records.CONFIG).read_text())


def test_a_shorter_run_is_found_though_its_config_says_how_clips_were_drawn(parent):
    settings, _, short = parent
    path = short.folder / records.CONFIG
    identity = json.loads(path.read_text())
    path.write_text(json.dumps({**identity, "draws": "0123"}))
    wanted = {**identity, "run_id": "another", "config": {**identity["config"], "epochs": 9}}
    assert extension.shorter(settings, wanted) == short.run_id
    assert extension.shorter(settings, {**wanted, "config": {**wanted["config"], "seed": 9}}) is None


def test_other_values_are_refused_by_name(parent):
    settings, key, short = parent
    with pytest.raises(ModelError, match="only by one that differs in its number of epochs") as caught:
        extend(settings, key, short.run_id, lr=1e-3, seed=5)
    assert "config.lr (0.005 there, 0.001 here); config.seed" in str(caught.value)


def test_a_schedule_that_is_not_longer_is_refused(parent):
    settings, key, short = parent
    with pytest.raises(UsageError, match="cannot be extended"):
        extend(settings, key, short.run_id, epochs=2)
    with pytest.raises(UsageError, match="named by its id"):
        extend(settings, key, "latest")


def test_a_run_without_a_whole_checkpoint_cannot_be_extended(parent):
    settings, key, short = parent
    for _, path in checkpoint.last_checkpoints(short.folder / records.CHECKPOINTS):
        path.unlink()
    with pytest.raises(ModelError, match="no checkpoint to go on from"):
        extend(settings, key, short.run_id)
