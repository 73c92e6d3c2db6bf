import os
import subprocess
import sys

import pytest

from beatsight_core.errors import ModelError
from beatsight_core.files import write_json
from beatsight_core.runs import records
from beatsight_core.training.run import list_runs, open_run


@pytest.fixture
def runs(attempt, settings):
    for age, name in ((30, "warmup-a-11111111"), (20, "warmup-a-22222222"), (10, "baseline-a-33333333")):
        run = attempt(name)
        write_json(run.folder / records.CONFIG, {**run.identity, "run_id": name})
        os.utime(run.folder / records.CONFIG, (1e9 - age, 1e9 - age))
    return settings


def test_runs_are_opened_by_id_beginning_or_latest(runs):
    assert [run.run_id for run in list_runs(runs)] == [
        "baseline-a-33333333", "warmup-a-22222222", "warmup-a-11111111",
    ]  # fmt: skip
    assert open_run(runs, "warmup-a-11111111").run_id == "warmup-a-11111111"
    assert open_run(runs, "base").run_id == "baseline-a-33333333"
    assert open_run(runs, "latest").run_id == "baseline-a-33333333"


@pytest.mark.parametrize(("name", "message"), [("warmup", "fits 2 runs"), ("long", "no run 'long'"), ("", "no run")])
def test_what_fits_none_or_several_is_an_error(runs, name, message):
    with pytest.raises(ModelError, match=message) as caught:
        open_run(runs, name)
    assert "warmup-a-22222222" in str(caught.value)


def test_without_runs_the_error_says_to_train(settings):
    assert list_runs(settings) == []
    with pytest.raises(ModelError) as caught:
        open_run(settings, "latest")
    assert "train first" in str(caught.value)


def test_a_broken_run_does_not_hide_the_others(runs, caplog):
    (runs.run_root / "warmup-a-22222222" / records.CONFIG).write_text("{")
    assert len(list_runs(runs)) == 2
    assert "left out" in caplog.text


def test_a_run_knows_what_it_is(runs, features, config):
    run = open_run(runs, "base")
    assert (run.status, run.metrics, run.history) == ("unfinished", None, [])
    assert (run.config, run.classes, run.spec) == (config, features.classes, features.spec)
    with pytest.raises(ModelError, match="no thresholds yet"):
        _ = run.thresholds


def test_a_cut_last_line_of_the_history_does_not_count(tmp_path):
    records.write_history(tmp_path, [{"epoch": 1}, {"epoch": 2}])
    path = tmp_path / records.HISTORY
    path.write_bytes(path.read_bytes() + b'{"epoch": 3, "lo')
    assert [record["epoch"] for record in records.read_history(tmp_path)] == [1, 2]


def test_looking_at_runs_imports_no_torch():
    script = "import sys, beatsight_core.training.run, beatsight_core.features.build; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
