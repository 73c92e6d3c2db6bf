"""Paths as people type them: those of Windows become this system's, or are refused by name."""

import contextlib
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from beatsight_core.cli.main import _VERBS, beatsight
from beatsight_core.cli.path_type import TypedPath
from beatsight_core.errors import UsageError
from beatsight_core.settings import load_settings, typed_paths
from beatsight_core.settings.typed_paths import typed_path


@pytest.fixture
def drive(tmp_path, monkeypatch) -> Path:
    """A folder that is drive C:, as WSL tells of its mounts."""
    folder = tmp_path / "the drive"
    folder.mkdir()
    mounts = tmp_path / "mounts"
    point = str(folder).replace(" ", "\\040")
    mounts.write_text(f"none /mnt/wsl tmpfs rw 0 0\nC:\\134 {point} 9p rw,aname=drvfs;path=C:\\134 0 0\n")
    monkeypatch.setattr(typed_paths, "MOUNTS", mounts)
    return folder


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (r"C:\a\b.wav", "/mnt/c/a/b.wav"),
        ("c:/a/b.wav", "/mnt/c/a/b.wav"),
        (r"D:\a/b\c", "/mnt/d/a/b/c"),
        ("C:\\", "/mnt/c"),
        ("c:/", "/mnt/c"),
        (r"C:\\a\b", "/mnt/c/a/b"),
        (r"\\?\C:\very\long", "/mnt/c/very/long"),
        (r"\\.\C:\very\long", "/mnt/c/very/long"),
        ("//?/C:/very/long", "/mnt/c/very/long"),
        ("//tmp/x", "//tmp/x"),
        (r"C:\with blank\ä.wav", "/mnt/c/with blank/ä.wav"),
        ("/mnt/c/a", "/mnt/c/a"),
        ("a/b.wav", "a/b.wav"),
        ("take 1: kick.wav", "take 1: kick.wav"),
        ("ab:c", "ab:c"),
        (r"nowhere at all\a.wav", r"nowhere at all\a.wav"),
    ],
)
def test_paths_of_windows_are_found_where_wsl_mounts_them(typed, meant, monkeypatch, tmp_path):
    monkeypatch.setattr(typed_paths, "MOUNTS", tmp_path / "none")
    monkeypatch.chdir(tmp_path)
    assert typed_path(typed) == Path(meant)


def test_a_drive_may_be_mounted_elsewhere(drive):
    assert typed_path(r"C:\x\y") == drive / "x" / "y"
    assert typed_path("c:/") == drive
    assert typed_path("E:/x") == Path("/mnt/e/x")


def test_nothing_is_written_where_a_drive_is_not_mounted(drive, data_root):
    """It would make a folder of that name on another drive, and fill that."""
    assert typed_path(r"C:\new\x.json", written=True) == drive / "new" / "x.json"
    assert typed_path("Q:/x.json") == Path("/mnt/q/x.json")  # read, it is told as missing
    for words in (
        ["classify", "x.wav", "--out", r"Q:\x.json"],
        ["models", "export", "--to", "q:/x"],
        ["manifest", "merge", "x.jsonl", "-o", r"\\?\Q:\x.jsonl"],
        ["demo", "Q:/demo", "--corpus-only"],
        ["models", "--data-root", r"Q:\x"],
    ):
        done = CliRunner().invoke(beatsight, ["--data-root", str(data_root), *words])
        assert (done.exit_code, "Drive Q: is not mounted" in " ".join(done.output.split())) == (2, True), done.output
    with pytest.raises(UsageError, match="Drive Q: is not mounted"):
        load_settings(data_root, {"BEATSIGHT_RUN_ROOT": r"Q:\runs"})
    assert not Path("/mnt/q").exists()


def test_what_is_there_under_that_very_name_is_meant(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (r"a\b.wav", "c:take.wav", "C:"):
        Path(name).write_text("")
        assert typed_path(name) == Path(name)
    Path("raw").mkdir()
    Path("raw/a.wav").write_text("")
    assert typed_path(r"raw\a.wav") == Path("raw/a.wav")  # a relative path as Windows writes it
    assert typed_path(r"raw\new.csv") == Path("raw/new.csv")
    assert typed_path(r".\raw\a.wav") == Path("raw/a.wav")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("C:", "type C:/"),
        ("d:take.wav", "type the whole path: d:/take.wav"),
        (r"\\server\share\a.wav", "network share"),
        ("//server/share", "network share"),
        (r"\\?\UNC\server\share\a", r"drvfs '\\server\SHARE'"),
        (r"\\?\UNC\srv\share\a", "network share"),  # although there is a folder /srv
        (r"\\.\unc\server\share", "network share"),
        (r"\\tmp\share", "network share"),
        (r"\\.\PhysicalDrive0", "device of Windows"),
        (r"\\?\Volume{12}\a.wav", "device of Windows"),
        (r"\\wsl$\Debian\home\me", "distribution Debian"),
        (r"\\wsl.localhost\Debian\home", "distribution Debian"),
        ("~no_such_user/x", "no home folder"),
        ("a\0b", "NUL"),
    ],
)
def test_what_means_nothing_here_is_refused_by_name(typed, said, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WSL_DISTRO_NAME", "Ubuntu")
    with pytest.raises(UsageError) as caught:
        typed_path(typed)
    assert said in str(caught.value)
    assert caught.value.do
    if "\0" not in typed:
        result = CliRunner().invoke(beatsight, ["models", "--data-root", typed])
        assert (result.exit_code, said in " ".join(result.output.split())) == (2, True), result.output


def test_a_path_that_windows_has_for_this_very_system_is_the_one_here(monkeypatch):
    monkeypatch.setenv("WSL_DISTRO_NAME", "Ubuntu")
    assert typed_path(r"\\wsl$\ubuntu\home\me\a.wav") == Path("/home/me/a.wav")
    assert typed_path("//wsl.localhost/Ubuntu/home") == Path("/home")


@budget(max_examples=200, deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_a_path_or_refused(text):
    with contextlib.suppress(UsageError):
        assert isinstance(typed_path(text), Path)


def test_settings_and_variables_take_them_too(data_root, drive):
    (data_root / "beatsight.toml").write_text("[sources.a]\nroots = ['C:\\audio']\n")
    settings = load_settings(data_root, {"BEATSIGHT_RUN_ROOT": r"C:\runs"})
    assert settings.sources["a"].roots == (drive / "audio",)
    assert settings.run_root == drive / "runs"
    for text in ("[sources.a]\nroots = ['~no_such_user']\n", "[release]\nroots = ['//server/share']\n"):
        (data_root / "beatsight.toml").write_text(text)
        with pytest.raises(UsageError):
            load_settings(data_root)


def commands(command: click.Command, name: str = ""):
    yield name, command
    for sub, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{name} {sub}")


def test_every_option_that_is_a_path_is_typed_so():
    group = beatsight
    context = click.Context(group)
    every = [(verb, command) for verb in _VERBS for _, command in commands(group.get_command(context, verb), verb)]
    params = [(verb, param) for verb, command in every for param in command.params]
    assert not [(verb, param.name) for verb, param in params if isinstance(param.type, click.Path | click.File)]
    paths = {(verb, param.name) for verb, param in params if isinstance(param.type, TypedPath)}
    named = {("classify", "audio"), ("classify", "onsets"), ("classify", "out"), ("models", "to"), ("demo", "folder")}
    assert named <= paths


def test_verbs_work_with_paths_of_windows(trained, drive, tmp_path, monkeypatch):
    settings, run_id = trained
    root = settings.data_root.rename(drive / "data")
    monkeypatch.chdir(tmp_path)

    def call(*words, code=0):
        done = CliRunner().invoke(beatsight, [*words, "--data-root", r"C:\data"])
        assert done.exit_code == code, (words, done.output)
        return done.output

    (drive / "onsets.csv").write_text("0.5\n1.0\n")
    recording = r"C:\data\raw\tiny\00.wav"
    said = call("classify", recording, "--onsets", "c:/onsets.csv", "--model", run_id, "--out", r"C:\out.csv")
    assert "2 hits" in said
    assert (drive / "out.csv").is_file()
    call("verify", r"C:\data\manifests\tiny.jsonl")
    call("manifest", "merge", "c:/data/manifests/tiny.jsonl", "-o", r"C:\merged.jsonl")
    assert (drive / "merged.jsonl").is_file()
    assert f"{drive}/data" in call("models", "export", run_id, "--to", r"C:\data", code=2)
    assert f"{drive}/model" in call("classify", recording, "--model", r"C:\model", code=3)
    call("archive", run_id)
    day = next((root / "reports" / "archive").glob("*/*"))
    windows = "C:" + str(day).removeprefix(str(drive)).replace("/", "\\")
    assert "whole" in call("archive", "--verify", windows)
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {"mounts", "the drive"}  # nothing under a name with backslashes
