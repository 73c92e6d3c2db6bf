import dataclasses
from pathlib import Path

import pytest

from beatsight_core.errors import SettingsError
from beatsight_core.gates.corpus_limits import PROFILES, profile_of
from beatsight_core.settings import load_settings, resolve_path


def write(root: Path, text: str) -> Path:
    (root / "beatsight.toml").write_text(text)
    return root


def test_everything_is_derived_from_the_data_root(data_root):
    settings = load_settings(data_root, {})
    places = {
        "manifests_dir": "manifests", "catalog_dir": "catalog", "dataset_dir": "datasets",
        "shards_dir": "datasets/shards", "cache_dir": "features", "run_root": "runs", "models_dir": "models",
        "health_dir": "reports/health", "metrics_dir": "reports/metrics", "archive_dir": "reports/archive",
        "wandb_root": "wandb", "dagster_home": "dagster",
    }  # fmt: skip
    for name, place in places.items():
        assert getattr(settings, name) == data_root / place


def test_nothing_is_created(tmp_path):
    load_settings(tmp_path / "not there", {})
    assert list(tmp_path.iterdir()) == []


def test_the_old_environment_names_are_honoured(data_root):
    settings = load_settings(
        None,
        {
            "BEATSIGHT_DATA_ROOT": str(data_root), "BEATSIGHT_SECONDARY_ROOT": "/second",
            "BEATSIGHT_DATASET_DIR": "/d", "BEATSIGHT_CACHE_DIR": "/c", "BEATSIGHT_HEALTH_DIR": "/h",
            "BEATSIGHT_METRICS_DIR": "/m", "BEATSIGHT_RUN_ROOT": "/r", "BEATSIGHT_WANDB_ROOT": "/w",
            "WANDB_RUN_GROUP": "ensemble", "WANDB_MODE": "offline",
        },
    )  # fmt: skip
    assert settings.data_root == data_root
    folders = [settings.dataset_dir, settings.cache_dir, settings.health_dir]
    folders += [settings.metrics_dir, settings.run_root, settings.wandb_root]
    assert [str(folder) for folder in folders] == ["/d", "/c", "/h", "/m", "/r", "/w"]
    assert (settings.tracking.group, settings.tracking.mode) == ("ensemble", "offline")
    assert settings.source("x").roots == (
        data_root / "raw/x", Path("/second/raw/x"), data_root / "raw", Path("/second/raw"),
    )  # fmt: skip


def test_command_line_beats_environment_beats_file(data_root, tmp_path):
    write(data_root, '[tracking]\nmode = "offline"\n')
    other = tmp_path / "other"
    assert load_settings(data_root, {"BEATSIGHT_DATA_ROOT": str(other)}).data_root == data_root
    assert load_settings(data_root, {}).tracking.mode == "offline"
    assert load_settings(data_root, {"WANDB_MODE": "disabled"}).tracking.mode == "disabled"


def test_sources_keep_the_order_of_their_roots_and_take_windows_paths(data_root):
    settings = load_settings(
        write(
            data_root, "[sources.cambridge]\nroots = ['C:\\audio\\cambridge', '/mnt/d/raw', 'here']\ncoalesce_ms = 20\n"
        ),
        {},
    )
    roots = settings.source("cambridge").roots
    assert [str(root) for root in roots] == ["/mnt/c/audio/cambridge", "/mnt/d/raw", str(data_root / "here")]
    assert settings.source("cambridge").coalesce_ms == 20.0


def test_all_problems_come_at_once_with_suggestions(data_root):
    write(
        data_root,
        '[dataset]\nsample_rat_hz = 1\nval_ratio = "x"\n'
        '[features]\nf_max_hz = 30000.0\n[sources.a]\nsplit_by = ["mood"]\n',
    )
    with pytest.raises(SettingsError) as caught:
        load_settings(data_root, {})
    message = str(caught.value)
    for part in ("did you mean dataset.sample_rate_hz?", "dataset.val_ratio must be a number", "f_max_hz", "mood"):
        assert part in message
    assert "beatsight.toml" in message


def test_broken_toml_says_where(data_root):
    with pytest.raises(SettingsError, match="not valid TOML"):
        load_settings(write(data_root, "[dataset\n"), {})


def test_data_root_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="not a folder"):
        load_settings(tmp_path / "file", {})


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("C:\\BeatSightData", "/mnt/c/BeatSightData"),
        ("d:/data/raw", "/mnt/d/data/raw"),
        ("/mnt/c/x", "/mnt/c/x"),
        ("x/../y", "/base/y"),
    ],
)
def test_paths_as_people_type_them(typed, meant):
    assert str(resolve_path(typed, Path("/base"))) == meant


def test_the_environment_beats_the_second_drive_of_the_file(data_root):
    write(data_root, 'secondary_root = "/first"\n')
    assert load_settings(data_root, {}).secondary_root == Path("/first")
    assert load_settings(data_root, {"BEATSIGHT_SECONDARY_ROOT": "/second"}).secondary_root == Path("/second")


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1" + "0" * 400])
def test_numbers_that_are_not_finite_are_refused_by_name(data_root, value):
    write(data_root, f"[dataset]\npre_ms = {value}\n[gates.promotion]\nloss = {value}\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(data_root, {})
    assert "dataset.pre_ms must be a finite number" in str(caught.value)
    assert "gates.promotion.loss must be a finite number" in str(caught.value)


def test_presets_and_criteria_that_do_not_exist_are_refused(data_root):
    write(
        data_root, "[training.warmupp]\nepochs = 2\n[training.baseline]\nepochs = 2\n[gates.promotion]\nacuracy = 1\n"
    )
    with pytest.raises(SettingsError) as caught:
        load_settings(data_root, {})
    message = str(caught.value)
    assert "did you mean training.warmup?" in message
    assert "did you mean gates.promotion.accuracy?" in message
    assert "baseline" not in message


def test_a_source_set_with_a_name_that_no_folder_can_have_is_looked_for_in_raw(settings, data_root):
    for name in ("x" * 256, "é" * 128):
        assert settings.source(name).roots == (data_root / "raw",)
        assert not any(root.is_dir() for root in settings.source(name).roots)
    assert settings.source("x" * 255).roots[0] == data_root / "raw" / ("x" * 255)


def test_a_release_names_files_relative_to_the_data_root(data_root):
    write(
        data_root,
        '[release]\nroots = ["../app"]\ncurrent_status = "docs/S.md"\nmax_size_mb = 3\n'
        '[[release.configs]]\nfile = "../app/.env"\nkey = "MODEL"\n',
    )
    release = load_settings(data_root, {}).release
    assert release.roots == (data_root.parent / "app",)
    assert release.current_status == data_root / "docs" / "S.md"
    assert release.next_steps is None
    assert (release.max_size_mb, release.max_latency_ms) == (3.0, 50.0)
    (target,) = release.configs
    assert (target.file, target.key, target.value) == (data_root.parent / "app" / ".env", "MODEL", "{weights}")


def test_a_release_with_mistakes_names_them_all(data_root):
    write(
        data_root,
        "[release]\nmax_latency_ms = 0\nmax_sise_mb = 3\n"
        '[[release.configs]]\nfile = "a.json"\n[[release.configs]]\nfile = "a.json"\nkey = 3\nvalu = "x"\n',
    )
    with pytest.raises(SettingsError) as caught:
        load_settings(data_root, {})
    message = str(caught.value)
    for part in (
        "must be positive",
        "release.max_size_mb?",
        "release.configs[0] lacks key",
        "configs[1].key must be text",
    ):
        assert part in message
    assert "did you mean release.configs[1].value?" in message
    write(data_root, "[release]\nconfigs = 3\n")
    with pytest.raises(SettingsError, match="must be a list of tables"):
        load_settings(data_root, {})


def test_values_that_contradict_each_other_are_told_beside_wrong_types(data_root):
    write(data_root, "[dataset]\nsample_rate_hz = 100\n[features]\nf_min_hz = 9e3\nf_max_hz = 8e3\n[web]\nhost = 1\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(data_root, {})
    for part in (
        "dataset.sample_rate_hz must be at least 8,000, not 100",
        "features.f_min_hz must be less than f_max_hz, not 9000 and 8000",
        "did you mean web.hosts?",
    ):
        assert part in str(caught.value)
    write(data_root, "[dataset]\nsample_rate_hz = 8000\n")
    said = "features.f_max_hz must be at most half of dataset.sample_rate_hz, 4000, not 16000"
    with pytest.raises(SettingsError, match=said):
        load_settings(data_root, {})


def test_what_a_variable_says_wrongly_is_told_with_its_name(data_root):
    with pytest.raises(
        SettingsError, match=r"tracking\.mode, or the variable WANDB_MODE, must be one of disabled, .*on'"
    ):
        load_settings(data_root, {"WANDB_MODE": "on"})


def test_a_table_of_the_settings_cannot_name_itself(data_root):
    write(data_root, "data_root = 'x'\n[sources.a]\nname = 'b'\n[gates]\nloosened = {probe = 'x'}\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(data_root, {})
    for name in ("data_root", "sources.a.name", "gates.loosened"):
        assert f"there is no setting {name}" in str(caught.value)


def test_every_limit_of_a_corpus_can_be_set(data_root):
    limits = dataclasses.asdict(PROFILES["demo"])
    for name, value in limits.items():
        if name not in ("min_counts", "required_techniques"):
            write(data_root, f"[gates]\n{name} = {value + 1}\n")
            assert getattr(profile_of(load_settings(data_root, {}).gates), name) == value + 1
