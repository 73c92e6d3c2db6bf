"""Dagster's home: made once, by whoever comes first, with the project's configuration."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from beatsight_core.errors import UsageError
from beatsight_core.settings import Settings
from beatsight_dagster import instance
from beatsight_dagster.instance import CONFIG, FLAGLESS, WORKSPACE, make_flagless, prepare_home

ROOT = Path(__file__).parents[2]


def test_the_configuration_is_the_projects() -> None:
    assert (ROOT / "dagster.yaml").read_text(encoding="utf-8") == CONFIG
    assert (ROOT / "workspace.yaml").read_text(encoding="utf-8") == WORKSPACE


def test_the_home_names_the_definitions_as_the_project_does(settings: Settings) -> None:
    assert (prepare_home(settings) / "workspace.yaml").read_text(encoding="utf-8") == WORKSPACE


def test_two_processes_may_make_the_home_at_once(settings: Settings) -> None:
    command = [sys.executable, "-m", "beatsight_dagster.instance"]
    environment = {"PYTHONPATH": str(ROOT), "BEATSIGHT_DATA_ROOT": str(settings.data_root), "PATH": "/usr/bin:/bin"}
    makers = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = [maker.communicate(timeout=120) for maker in makers]
    assert [maker.returncode for maker in makers] == [0, 0], answers
    assert f"export DAGSTER_HOME={settings.dagster_home}\n" in answers[0][0]
    with dg.DagsterInstance.from_config(str(settings.dagster_home)) as opened:
        assert opened.get_runs() == []
        assert not opened.telemetry_enabled
        assert "beatsight" in opened.managed_python_loggers


def test_a_configuration_that_was_edited_stays(settings: Settings) -> None:
    home = settings.dagster_home
    home.mkdir(parents=True)
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    assert prepare_home(settings) == home
    assert prepare_home(settings).is_absolute()
    assert (home / "dagster.yaml").read_text() == "telemetry: {enabled: false}\n"


def test_a_data_root_that_cannot_be_written_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BEATSIGHT_DATA_ROOT", str(tmp_path / "file" / "data"))
    assert instance.main([]) in (2, 4)
    assert "Error: " in capsys.readouterr().err


def test_only_a_virtual_environment_is_set_up_for_dagsters_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "base_prefix", sys.prefix)
    with pytest.raises(UsageError, match="no virtual environment"):
        make_flagless()
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    monkeypatch.setattr(instance.sysconfig, "get_path", lambda name: str(tmp_path))
    written = make_flagless()
    code = f"import os, site; site.addsitedir({str(tmp_path)!r}); print(os.environ[{next(iter(FLAGLESS))!r}])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "beatsight_dagster.definitions"
    assert written.suffix == ".pth"
