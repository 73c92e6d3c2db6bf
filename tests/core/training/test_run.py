import contextlib
import json
import os
import shlex
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from beatsight_core.errors import DatasetError, GateError, SettingsError, TimeLimitError
from beatsight_core.files import exclusive_lock, json_bytes, sha256_file, write_json
from beatsight_core.progress import SilentProgress
from beatsight_core.runs import records
from beatsight_core.training.run import RunOptions, list_runs, open_run, train

FAST = {"epochs": 2, "lr": 5e-3, "batch": 16, "accumulation": 1}


@pytest.fixture
def ready(trained):
    """Settings and key of a data root with features."""
    settings, run_id = trained
    return settings, open_run(settings, run_id).key


class Impatient(SilentProgress):
    """Asks the process to end once so many clips are done."""

    def __init__(self, clips):
        super().__init__()
        self.clips = clips

    @contextlib.contextmanager
    def task(self, name, total=None, unit=""):
        with super().task(name, total, unit) as task:
            self.inner, self.done = task, 0.0
            yield self

    def skip(self, count):
        self.inner.skip(count)

    def advance(self, count=1, **numbers):
        self.inner.advance(count, **numbers)
        before, self.done = self.done, self.done + count
        if before < self.clips <= self.done:
            os.kill(os.getpid(), signal.SIGTERM)


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_run_is_found_finished_by_the_same_command(ready):
    settings, key = ready
    first = train(settings, key, overrides=FAST, device="cpu")
    assert (first.status, first.epochs, first.resumed) == ("finished", 2, False)
    assert first.run_id.startswith(f"warmup-{key}-")
    before = contents(first.folder)
    again = train(settings, settings.manifests_dir / "tiny.jsonl", overrides={**FAST, "epochs": "2"}, device="cpu")
    assert again.resumed
    assert again.was_finished
    assert {**again.to_json(), "resumed": False, "was_finished": False} == first.to_json()
    assert contents(first.folder) == before
    assert json_bytes(first.to_json())
    assert set(first.metrics) >= {"loss", "accuracy", "exact_match", "macro_f1", "f1", "hits"}


def test_fresh_starts_again_ends_the_same_and_loses_nothing(ready):
    settings, key = ready
    first = train(settings, key, overrides=FAST, device="cpu")
    before = contents(first.folder)
    again = train(settings, key, overrides=FAST, device="cpu", options=RunOptions(fresh=True))
    assert (again.run_id, again.resumed, again.metrics) == (first.run_id, False, first.metrics)
    kept = open_run(settings, f"{first.run_id}-earlier-1")
    assert (kept.status, kept.metrics["metrics"]["loss"]) == ("finished", first.metrics["loss"])
    after = {first.folder / path.relative_to(kept.folder): data for path, data in contents(kept.folder).items()}
    assert {path: data for path, data in after.items() if path.name != "aside.json"} == before
    assert [path.name for path in settings.run_root.iterdir() if path.name.startswith(".discarded")] == []


def test_what_a_launch_began_afresh_it_goes_on_with(ready):
    settings, key = ready
    options = RunOptions(fresh=True, launch="launch-1")
    run_id = train(settings, key, overrides=FAST, device="cpu").run_id  # an older run, which the launch puts aside
    with pytest.raises(KeyboardInterrupt):
        train(settings, key, overrides=FAST, device="cpu", options=options, progress=Impatient(100))
    again = train(settings, key, overrides=FAST, device="cpu", options=options)
    assert again.resumed
    assert train(settings, key, overrides=FAST, device="cpu", options=options).resumed
    assert records.earlier_runs(settings.run_root / run_id) == [1]
    assert not train(
        settings, key, overrides=FAST, device="cpu", options=RunOptions(fresh=True, launch="launch-2")
    ).resumed
    assert records.earlier_runs(settings.run_root / run_id) == [1, 2]


def test_the_run_of_a_model_is_begun_afresh_only_for_a_reason(ready):
    settings, key = ready
    first = train(settings, key, overrides={**FAST, "epochs": 1}, device="cpu")
    about = {"run_id": first.run_id, "digests": {"checkpoint": sha256_file(first.folder / "checkpoints" / "best.pt")}}
    write_json(settings.models_dir / "versions" / "1" / "version.json", about)
    before = contents(settings.run_root)
    with pytest.raises(GateError, match="version 1 came of it"):
        train(settings, key, overrides={**FAST, "epochs": 1}, device="cpu", options=RunOptions(fresh=True))
    assert contents(settings.run_root) == before
    assert train(settings, key, overrides={**FAST, "epochs": 1}, device="cpu").was_finished
    options = RunOptions(fresh=True, version_override="its labels were mended")
    assert not train(settings, key, overrides={**FAST, "epochs": 1}, device="cpu", options=options).resumed


def test_an_extension_that_was_begun_afresh_by_a_launch_goes_on(ready):
    settings, key = ready
    first = train(settings, key, overrides={**FAST, "epochs": 1}, device="cpu")
    options = RunOptions(fresh=True, extend=first.run_id, launch="launch-1")
    with pytest.raises(KeyboardInterrupt):
        train(settings, key, overrides=FAST, device="cpu", options=options, progress=Impatient(100))
    again = train(settings, key, overrides=FAST, device="cpu", options=options)
    assert again.resumed
    assert records.earlier_runs(again.folder) == []


def test_what_is_unfinished_says_the_command_that_goes_on_with_it(ready):
    settings, key = ready
    with pytest.raises(KeyboardInterrupt):
        train(settings, key, overrides=FAST, device="cpu", progress=Impatient(100))
    run = open_run(settings, "latest")
    words = shlex.split(records.how_to_finish(run))
    assert words[:6] == ["finish", "it:", "beatsight", "train", key, "--preset"]
    typed = dict(word.split("=", 1) for word in words if "=" in word)
    finished = train(settings, key, words[6], overrides=typed, device="cpu")
    assert (finished.run_id, finished.resumed, finished.was_finished) == (run.run_id, True, False)
    assert train(settings, key, overrides=FAST, device="cpu").was_finished


def test_who_begins_afresh_is_not_told_to_repeat_that():
    assert RunOptions().again == "run the same command again"
    assert RunOptions(fresh=True).again == "run the same command again, without --fresh"
    assert RunOptions(fresh=True, launch="one").again == RunOptions().again


def test_a_limit_holds_while_another_process_has_the_run(ready, caplog):
    caplog.set_level("INFO", "beatsight")
    settings, key = ready
    run_id = train(settings, key, overrides=FAST, device="cpu").run_id
    with (
        exclusive_lock(settings.run_root / ".locks" / run_id),
        pytest.raises(TimeLimitError, match=f"another process has run {run_id}"),
    ):
        train(settings, key, overrides=FAST, device="cpu", options=RunOptions(max_seconds=0.5))
    assert f"waiting for run {run_id}: process {os.getpid()} is at it" in caplog.text


def test_other_values_are_another_run(ready):
    settings, key = ready
    made = {train(settings, key, overrides={**FAST, **more}, device="cpu").run_id for more in ({}, {"epochs": 1})}
    assert len(made) == 2
    assert made < {run.run_id for run in list_runs(settings)}


def test_a_stopped_run_goes_on_by_the_same_command(ready):
    settings, key = ready
    whole = train(settings, key, overrides=FAST, device="cpu", options=RunOptions(fresh=True))
    expected = contents(whole.folder)

    with pytest.raises(KeyboardInterrupt):
        train(settings, key, overrides=FAST, device="cpu", options=RunOptions(fresh=True), progress=Impatient(100))
    run = open_run(settings, whole.run_id)
    assert run.status == "unfinished"
    result = train(settings, key, overrides=FAST, device="cpu")
    assert result.resumed
    assert result.metrics == whole.metrics
    assert contents(whole.folder).keys() >= {path for path in expected if "epoch-" not in path.name}
    best = whole.folder / "checkpoints" / "best.pt"
    assert contents(whole.folder)[best] == expected[best]


def test_two_at_once_end_in_one_result(ready):
    settings, key = ready
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(train, settings, key, overrides=FAST, device="cpu") for _ in range(2)]
        results = [one.result() for one in both]
    assert {result.run_id for result in results} == {results[0].run_id}
    assert sorted(result.resumed for result in results) == [False, True]
    assert results[0].metrics == results[1].metrics


def test_the_environment_is_recorded_and_no_secret_is(ready, monkeypatch):
    settings, key = ready
    monkeypatch.setenv("WANDB_API_KEY", "0123456789secret0123456789")
    result = train(settings, key, overrides={**FAST, "seed": 7}, device="cpu")
    environment = json.loads((result.folder / records.ENVIRONMENT).read_text())
    assert environment["device"] == "cpu"
    assert environment["seeds"] == {"training": 7}
    assert {"torch", "numpy"} <= environment["packages"].keys()
    assert {"platform", "python", "driver", "cuda", "cudnn", "revision"} <= environment.keys()
    assert not any(b"0123456789secret" in data for data in contents(result.folder).values())


def test_without_features_there_is_nothing_to_train_on(ready):
    settings, key = ready
    for path in settings.cache_dir.rglob("*.safetensors"):
        path.unlink()
    with pytest.raises(DatasetError, match=r"cover 0\.0%"):
        train(settings, key, overrides=FAST, device="cpu")
    with pytest.raises(SettingsError, match="did you mean epochs"):
        train(settings, key, overrides={"epoch": 1}, device="cpu")
