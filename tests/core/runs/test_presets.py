import dataclasses
from importlib import resources
from pathlib import Path

import pytest

from beatsight_core.errors import SettingsError
from beatsight_core.runs import presets
from beatsight_core.runs.presets import TrainingConfig, load_checked_settings, load_preset
from beatsight_core.settings import PRESETS
from beatsight_core.training.net.build_net import MODELS


def with_training(settings, **tables):
    return dataclasses.replace(settings, training=tables)


def test_presets_hold_the_figures_of_the_runbook(settings):
    warmup, baseline, long_run = (load_preset(settings, name) for name in PRESETS)
    assert (warmup.epochs, warmup.schedule, warmup.warmup_epochs, warmup.min_lr) == (8, "cosine", 4, 2e-5)
    assert (warmup.batch, warmup.accumulation, warmup.lr, warmup.val_fraction) == (32, 4, 4.5e-4, 0.12)
    assert (baseline.epochs, baseline.schedule, baseline.batch, baseline.lr) == (60, "plateau", 48, 5e-4)
    assert (baseline.channels_last, baseline.compile, baseline.checkpoint_epochs) == (True, True, 10)
    assert (long_run.epochs, long_run.schedule, long_run.warmup_epochs) == (220, "cosine", 16)
    assert (long_run.batch, long_run.lr, long_run.val_fraction, long_run.checkpoint_epochs) == (32, 2.8e-4, 0.3, 20)
    for config in (warmup, baseline, long_run):
        assert (config.clip_norm, config.weight_decay, config.seed, config.amp) == (1.0, 1e-4, 1337, "auto")


@pytest.mark.parametrize("value", [float("nan"), "inf"])
def test_a_number_that_is_none_is_refused(settings, value):
    with pytest.raises(SettingsError, match="augment_noise_db must be a finite number"):
        load_preset(settings, "warmup", {"augment_noise_db": value})


def test_every_preset_that_settings_know_has_a_file_and_the_other_way_round(settings):
    files = resources.files("beatsight_core.runs").joinpath("presets").iterdir()
    assert {Path(file.name).stem for file in files if file.name.endswith(".toml")} == set(PRESETS)


def test_command_line_beats_file_beats_preset(settings):
    changed = with_training(settings, warmup={"epochs": 5, "lr": 1e-3})
    config = load_preset(changed, "warmup", {"epochs": "2"})
    assert (config.epochs, config.lr, config.batch) == (2, 1e-3, 32)


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("epochs", "12", 12),
        ("lr", "1e-3", 1e-3),
        ("lr", 1, 1.0),
        ("compile", "Yes", True),
        ("channels_last", "false", False),
        ("schedule", "plateau", "plateau"),
    ],
)
def test_text_is_read_as_the_values_type(settings, key, text, value):
    got = getattr(load_preset(settings, "warmup", {key: text}), key)
    assert (got, type(got)) == (value, type(value))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"epoch": "3"}, "no setting epoch (did you mean epochs?)"),
        ({"epochs": "three"}, "epochs must be a whole number, not 'three'"),
        ({"epochs": 2.5}, "epochs must be a whole number"),
        ({"epochs": True}, "epochs must be a whole number"),
        ({"compile": "perhaps"}, "compile must be true or false"),
        ({"lr": "nan"}, "lr must be a finite number"),
        ({"batch": "0"}, "batch must be at least 1"),
        ({"schedule": "linear"}, "schedule must be cosine or plateau, not 'linear'"),
        ({"dropout": 1.5}, "dropout must be at most 1, not 1.5"),
        ({"lr": 0}, "lr must be positive"),
        ({"seed": 2**63}, "seed must be at most 9,223,372,036,854,775,807"),
        ({"cuda_graphs": "yes"}, "cuda_graphs needs compile = true"),
        ({"min_lr": "1.0"}, "min_lr <= lr"),
        ({"preset": "long_run"}, "no setting preset"),
    ],
)
def test_wrong_overrides_are_settings_errors(settings, overrides, message):
    with pytest.raises(SettingsError) as caught:
        load_preset(settings, "warmup", overrides)
    assert message in str(caught.value)


def test_all_problems_are_reported_at_once(settings):
    changed = with_training(settings, warmup={"lrr": 1})
    with pytest.raises(
        SettingsError, match=r"training\.warmup\.lrr \(did you mean training\.warmup\.lr\?\).*epochs must be a whole"
    ):
        load_preset(changed, "warmup", {"epochs": "x"})


def test_values_that_contradict_each_other_are_told_beside_wrong_types(settings):
    with pytest.raises(SettingsError, match=r"dropout must be a number.*min_lr <= lr.*cuda_graphs needs compile"):
        load_preset(settings, "warmup", {"dropout": "x", "min_lr": 1, "cuda_graphs": True})


def test_a_run_of_another_day_is_read_as_it_is(settings):
    """Its values were checked when it began, by the rules of that day."""
    config = load_preset(settings, "warmup")
    assert TrainingConfig.from_json({**config.to_json(), "model": "cnn_of_old", "batch": 0}).batch == 0


def test_an_unknown_net_is_told_before_anything_is_read(settings):
    assert set(presets.MODELS) == set(MODELS)
    with pytest.raises(
        SettingsError, match=r"model must be one of cnn_pair, cnn, cnn_small, not 'cnn_smal'.*cnn_small"
    ):
        load_preset(settings, "warmup", {"model": "cnn_smal"})


def test_an_unknown_preset_names_the_nearest(settings):
    with pytest.raises(SettingsError, match=r"no preset 'longrun' \(did you mean long_run\?\)"):
        load_preset(settings, "longrun")


def test_json_round_trip(settings):
    config = load_preset(settings, "baseline")
    assert TrainingConfig.from_json(config.to_json()) == config
    assert TrainingConfig.from_json({**config.to_json(), "later": 1}) == config


def test_all_that_is_wrong_in_a_file_is_told_at_once(data_root):
    (data_root / "beatsight.toml").write_text(
        'taxonomy = "cor"\n[dataset]\nsample_rate_hz = 8000\nseeds = 3\n[features]\nf_max_hz = 12000\n'
        "[gates.min_counts]\nsnare = 2.5\nkik = 5\nKick = 5\n"
        "[training.warmup]\nepoch = 3\n[training.baseline]\nmin_lr = 3.0\n[training.long_run]\nbatch = 0\n"
    )
    with pytest.raises(SettingsError) as caught:
        load_checked_settings(data_root)
    for said in (
        "taxonomy must be core or extended", "there is no setting dataset.seeds",
        "features.f_max_hz must be at most half of dataset.sample_rate_hz", "gates.min_counts.snare must be a whole",
        "the taxonomy core has no 'kik' (did you mean kick?)", "has no 'Kick' (did you mean kick?)",
        "there is no setting training.warmup.epoch (did you mean training.warmup.epochs?)",
        "training.long_run.batch must be at least 1", "training.baseline.min_lr <= lr < 10 must hold",
    ):  # fmt: skip
        assert said in str(caught.value), said
