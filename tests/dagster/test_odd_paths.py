"""Data roots whose path holds signs that mean something in an address or a pattern: Dagster works, or says no."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import NullPool, create_engine, text

from beatsight_core.errors import SettingsError
from beatsight_core.settings import load_settings
from beatsight_core.settings.paths import path_problem, pattern_problem
from beatsight_dagster import instance, partitions
from beatsight_dagster.home_storage import address_of
from beatsight_dagster.instance import CONFIG, STORAGE, prepare_home, use_home
from beatsight_dagster.partitions import MANIFESTS, register

ODD = (
    "My%20Data", "feature%2Fbranch", "why?", "%", "100%?", "a#b", "a&b=c;d", "it's \"so\"", "Schläge 太鼓", "*",
    "a?uri=true", "]", "a+b", "%253F", "?mode=memory",
)  # fmt: skip


@dg.asset
def thing() -> int:
    return 1


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for data roots; what Dagster's home is afterwards is as it was."""
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setenv("BEATSIGHT_DATA_ROOT", "")
    for name in instance.FLAGLESS:
        monkeypatch.setenv(name, "")
    folder = tmp_path / "roots"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("name", ["why? 100%20 a%2Fb #1", "Schläge 太鼓 'q' \"*\" &"])
def test_dagster_keeps_all_its_state_inside(place: Path, name: str) -> None:
    home = use_home(load_settings(place / name))
    with dg.DagsterInstance.get() as opened:
        register(opened, ["m-01234567"], ["kit%"])
        assert dg.materialize([thing], instance=opened).success
        assert not opened.telemetry_enabled
    with dg.DagsterInstance.get() as opened:
        assert opened.get_dynamic_partitions(str(MANIFESTS.name)) == ["m-01234567"]
        (run,) = opened.get_runs()
        assert opened.all_logs(run.run_id)
    assert (home / "history" / "runs" / f"{run.run_id}.db").is_file()
    assert [path.name for path in place.iterdir()] == [name]
    assert {path.name for path in (place / name).iterdir()} == {"dagster"}


def test_the_commands_work_in_processes_of_their_own(place: Path) -> None:
    root = place / "why? 100%20 it's"
    environment = {**os.environ, "BEATSIGHT_DATA_ROOT": str(root)}
    (root / "manifests").mkdir(parents=True)
    (root / "manifests" / "m.jsonl").write_text("{}\n")
    add = "from beatsight_dagster import instance, partitions as p; p.main(['add', 'm.jsonl']); instance.main([])"
    done = subprocess.run([sys.executable, "-c", add], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert f"export DAGSTER_HOME={shlex.quote(str(root / 'dagster'))}\n" in done.stdout
    assert [path.name for path in place.iterdir()] == [root.name]


@pytest.mark.parametrize("name", ["[data]", "a[b]c", "x[0-9]"])
def test_what_dagster_would_take_for_a_pattern_is_refused_in_one_paragraph(
    place: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BEATSIGHT_DATA_ROOT", str(place / name))
    for main in (lambda: instance.main([]), lambda: partitions.main(["list"])):
        assert main() == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert "square brackets" in said
    assert list(place.iterdir()) == []


def test_a_root_whose_path_matches_anothers_configuration_is_refused(place: Path) -> None:
    prepare_home(load_settings(place / "ab"))
    with pytest.raises(SettingsError, match="cannot keep its state there") as refusal:
        prepare_home(load_settings(place / "a?"))
    assert str(place / "ab") in str(refusal.value)
    assert not (place / "a?").exists()


def test_a_root_that_is_moved_to_an_odd_path_gets_what_it_needs(place: Path) -> None:
    prepare_home(load_settings(place / "plain"))
    assert (place / "plain" / "dagster" / "dagster.yaml").read_text() == CONFIG
    (place / "plain").rename(place / "100%20")
    home = use_home(load_settings(place / "100%20"))
    assert (home / "dagster.yaml").read_text() == CONFIG.rstrip("\n") + "\n" + STORAGE
    with dg.DagsterInstance.get() as opened:
        assert opened.get_runs() == []
    assert prepare_home(load_settings(place / "100%20")) == home
    assert (home / "dagster.yaml").read_text().count("HomeStorage") == 1
    assert [path.name for path in place.iterdir()] == ["100%20"]


def test_a_storage_that_was_configured_stays(place: Path, tmp_path: Path) -> None:
    home = place / "why?" / "dagster"
    home.mkdir(parents=True)
    configured = f"storage:\n  sqlite:\n    base_dir: {tmp_path / 'elsewhere'}\n"
    (home / "dagster.yaml").write_text(configured)
    assert prepare_home(load_settings(place / "why?")) == home
    assert (home / "dagster.yaml").read_text() == configured


@pytest.mark.parametrize("name", ODD)
def test_an_address_leads_to_its_file(tmp_path: Path, name: str) -> None:
    database = tmp_path / name / "runs.db"
    database.parent.mkdir()
    with create_engine(address_of(database), poolclass=NullPool).connect() as connection:
        connection.execute(text("CREATE TABLE t (n INTEGER)"))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [database]


def test_an_ordinary_address_is_what_dagster_makes() -> None:
    assert address_of(Path("/data/runs.db")) == "sqlite:////data/runs.db"


@pytest.mark.parametrize("path", ["/a\nb", "/a\x1b[31m", "/\udcff", "/a\u2028b", "/\x7f"])
def test_a_path_that_no_text_can_name_is_no_data_root(path: str) -> None:
    assert path_problem(Path(path))
    with pytest.raises(SettingsError, match="cannot lie there"):
        load_settings(path, {})


def test_ordinary_paths_are_no_problem() -> None:
    for path in ("/data", "/mnt/c/My Data", "/ドラム　1", "/\u05d0", "/a\u200db"):
        assert path_problem(Path(path)) is None
        assert pattern_problem(Path(path) / "dagster.yaml") is None
