"""Which probe stands behind a long run: of its recipe, on its data, long enough; others are told with the reason."""

import dataclasses
import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from beatsight_core.dataset.index import dataset_digest
from beatsight_core.errors import GateError, ModelError
from beatsight_core.features.spec import FeatureSpec
from beatsight_core.files import write_json
from beatsight_core.promotion import probe_record
from beatsight_core.promotion.clearance import HEALTH, PROBE, require_clearance
from beatsight_core.promotion.probe_recipe import CARRIED_OUT, COURSE, Wanted
from beatsight_core.promotion.probe_record import require_probe
from beatsight_core.runs.presets import TrainingConfig, load_preset
from beatsight_core.runs.records import open_run
from beatsight_core.settings import Settings
from beatsight_core.taxonomy import CORE

KEY = "m-11111111"
Make = Callable[..., str]


@pytest.fixture
def make(settings: Settings) -> Make:
    """Write a run as it lies on disk, each newer than the one before; its id."""

    def run(name: str, *, preset: str = "warmup", key: str = KEY, finished: bool = True, **changes: Any) -> str:
        digests = {"dataset": changes.pop("dataset", dataset_digest([])), "spec": "s"}
        spec = dataclasses.replace(FeatureSpec.from_settings(settings), **changes.pop("features", {}))
        config = load_preset(settings, preset, changes)
        run_id = f"{preset}-{key}-{name}"
        identity = {
            "run_id": run_id, "preset": preset, "key": key, "source_sets": ["a"], "config": config.to_json(),
            "classes": list(CORE.components), "spec": spec.to_json(), "digests": digests,
        }  # fmt: skip
        write_json(settings.run_root / run_id / "config.json", identity)
        if finished:
            write_json(settings.run_root / run_id / "metrics.json", {"metrics": {}})
        age = len(list(settings.run_root.iterdir()))
        for path in (settings.run_root / run_id).iterdir():
            os.utime(path, (1e9 + age, 1e9 + age))
        return run_id

    return run


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Ids of probes that are not healthy; all others are."""
    sick: set[str] = set()

    def record(_: Settings, run: Any) -> dict[str, Any]:
        passed = run.run_id not in sick
        gate = {"message": "accuracy is 0.1", "passed": passed, "setting": "gates.probe.accuracy"}
        return {"gates": [gate], "passed": passed}

    monkeypatch.setattr(probe_record, "_standing_record", record)
    return sick


def consulted(settings: Settings, probe: str | None = None, **changes: Any) -> str:
    return require_probe(settings, KEY, load_preset(settings, "long_run", changes), probe)[0]


def refusal(settings: Settings, probe: str | None = None, **changes: Any) -> str:
    with pytest.raises(GateError) as caught:
        consulted(settings, probe, **changes)
    return str(caught.value)


def test_a_probe_as_the_preset_has_it_stands_behind_a_long_run_as_its_preset_has_it(
    settings: Settings, make: Make, judged: set[str]
) -> None:
    found = make("aaaaaaaa")
    assert consulted(settings) == found
    assert consulted(settings, epochs=400, warmup_epochs=5, checkpoint_epochs=1, residence="map") == found


NOT_COUNTING = {
    "one epoch": ({"epochs": 1}, "it was trained for 1 epoch, and the preset has 8"),
    "one too few": ({"epochs": 7}, "it was trained for 7 epochs"),
    "another net": ({"model": "cnn_small"}, "its recipe is another: model is cnn_small, not cnn_pair"),
    "another rate": ({"lr": 0.01}, "lr is 0.01, not 0.00045"),
    "another loss": ({"loss": "focal"}, "loss is focal, not cross_entropy"),
    "other values": ({"augment_eq_db": 0.0, "dropout": 0.1}, "augment_eq_db is 0.0, not 6.0, dropout is 0.1, not 0.3"),
    "other data": ({"dataset": "another"}, "another state of the dataset"),
    "other features": ({"features": {"n_mels": 64}}, "it learned from other features"),
    "an earlier state of the manifest": ({"key": "m-22222222"}, "it learned from m-22222222"),
    "not finished": ({"finished": False}, "it is unfinished"),
}  # fmt: skip


@pytest.mark.parametrize("case", NOT_COUNTING)
def test_what_is_no_probe_of_it_neither_opens_nor_closes(
    settings: Settings, make: Make, judged: set[str], case: str
) -> None:
    changes, said = NOT_COUNTING[case]
    other = make("bbbbbbbb", **changes)
    told = refusal(settings)
    assert f"{other}: " in told
    assert said in told
    assert "--override-probe REASON" in told
    good = make("aaaaaaaa")
    judged.add(make("cccccccc", **changes))  # newer, and not healthy
    assert consulted(settings) == good


def test_the_newest_that_counts_is_gone_by_and_named(
    settings: Settings, make: Make, judged: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    make("aaaaaaaa")
    newest = make("bbbbbbbb", val_fraction=0.5)
    throwaway = make("cccccccc", epochs=1)
    caplog.set_level("INFO", "beatsight")
    assert consulted(settings) == newest
    assert f"long_run goes by the probe {newest}" in caplog.text
    assert f"not by {throwaway}: it was trained for 1 epoch" in caplog.text
    judged.add(newest)
    told = refusal(settings)
    assert newest in told
    assert f"not by {throwaway}: it was trained for 1 epoch" in told
    assert "Limits are gates.probe.accuracy" in told


def test_a_probe_may_be_named(settings: Settings, make: Make, judged: set[str]) -> None:
    older, newer = make("aaaaaaaa"), make("bbbbbbbb", seed=1337, val_minimum=10)
    judged.add(newer)
    assert consulted(settings, older) == older
    assert consulted(settings, older[:-4]) == older
    other = make("cccccccc", model="cnn_small")
    assert "model is cnn_small, not cnn_pair" in refusal(settings, other)
    assert "of preset baseline" in refusal(settings, make("dddddddd", preset="baseline"))
    with pytest.raises(ModelError, match="There is no run 'nothing'"):
        consulted(settings, "nothing")


def test_a_long_run_of_another_recipe_asks_for_its_own_probe(settings: Settings, make: Make, judged: set[str]) -> None:
    make("aaaaaaaa")
    told = refusal(settings, model="cnn_small", batch=16)
    assert "batch is 32, not 16, model is cnn_pair, not cnn_small" in told
    assert f"beatsight train {KEY} --preset warmup --set batch=16 --set model=cnn_small" in told
    own = make("bbbbbbbb", model="cnn_small", batch=16)
    assert consulted(settings, model="cnn_small", batch=16) == own


def test_presets_as_settings_make_them_are_of_one_recipe(settings: Settings, make: Make, judged: set[str]) -> None:
    own = dataclasses.replace(settings, training={"warmup": {"lr": 1e-3, "epochs": 10}, "long_run": {"dropout": 0.2}})
    make("aaaaaaaa", lr=1e-3, epochs=8, dropout=0.2)
    assert "it was trained for 8 epochs, and the preset has 10" in refusal(own)
    make("bbbbbbbb", lr=1e-3, epochs=10)
    assert "dropout is 0.3, not 0.2" in refusal(own)
    assert consulted(own, dropout=0.3).endswith("bbbbbbbb")


def test_without_any_probe_it_says_how_one_is_made(settings: Settings) -> None:
    told = refusal(settings)
    assert "no probe of this manifest was trained" in told
    assert f"beatsight train {KEY} --preset warmup)" in told


def test_only_the_newest_few_are_named(settings: Settings, make: Make) -> None:
    for number in range(5):
        make(f"{number}0000000", epochs=1)
    told = refusal(settings)
    assert told.count("it was trained for 1 epoch") == probe_record.NAMED
    assert "; 2 more" in told


def test_every_value_is_of_the_recipe_or_not(settings: Settings) -> None:
    names = {field.name for field in dataclasses.fields(TrainingConfig)}
    assert {*COURSE, *CARRIED_OUT} <= names
    wanted = Wanted.of(settings, KEY, load_preset(settings, "long_run"))
    assert wanted.differences(load_preset(settings, "warmup")) == []
    assert Wanted.of(settings, KEY, load_preset(settings, "baseline")).asked_of_probe() == {}


def test_clearance_takes_the_probe_that_is_named(settings: Settings, make: Make, judged: set[str]) -> None:
    older, newer = make("aaaaaaaa"), make("bbbbbbbb", val_minimum=7)
    judged.add(newer)
    long_run, despite = load_preset(settings, "long_run"), {HEALTH: "a trial"}
    assert set(require_clearance(settings, KEY, long_run, reasons=despite, probe=older)) == {HEALTH}
    with pytest.raises(GateError, match="not healthy"):
        require_clearance(settings, KEY, long_run, reasons=despite)
    waived = require_clearance(settings, KEY, long_run, reasons=despite | {PROBE: "known"})
    assert set(waived) == {HEALTH, PROBE}


def test_a_record_of_the_format_before_is_judged_anew(
    settings: Settings, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = make("aaaaaaaa")
    path = settings.run_root / run_id / "gates" / "probe.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"format": 2, "gates": [], "passed": True}))
    asked = []
    monkeypatch.setattr(probe_record, "judge_probe", lambda _, run: asked.append(run) or {"gates": [], "passed": True})
    assert consulted(settings) == run_id
    assert asked == [run_id]


def test_a_throw_away_probe_is_no_measure_of_the_next(settings: Settings, make: Make) -> None:
    good, _, newest = make("good"), make("short", epochs=1), make("newest")
    before = probe_record.previous_probe(settings, open_run(settings, newest))
    assert before is not None
    assert before.run_id == good
    another = open_run(settings, make("short-too", epochs=1))
    before = probe_record.previous_probe(settings, another)
    assert before is not None
    assert before.run_id == newest
