"""The weights and their sidecar: at every moment of a change a reader finds none, the old pair, or the new one."""

import errno
import json
import shutil
from pathlib import Path

import pytest

from beatsight_core.errors import StorageError
from beatsight_core.files import read_json, sha256_file
from beatsight_core.leftovers import remove_leftovers, temporary_path
from beatsight_core.promotion.promote import champion, rollback
from beatsight_core.promotion.version import weights_and_sidecar
from beatsight_core.promotion.version.weights_and_sidecar import CURRENT_SIDECAR, CURRENT_WEIGHTS, put_pair

CHANGES = ("replace", "rename", "unlink", "symlink_to")


def seen(models: Path) -> tuple[str | None, str | None]:
    """What each of the two names says: the version that it is of; None if it is not there."""
    weights, sidecar = models / CURRENT_WEIGHTS, models / CURRENT_SIDECAR
    return (
        weights.read_text().split()[-1] if weights.is_file() else None,
        read_json(sidecar)["version"] if sidecar.is_file() else None,
    )


@pytest.fixture
def watched(tmp_path, monkeypatch):
    """Make the pair of a version, looking at what a reader finds before and after each step; what was found."""
    models = tmp_path / "models"
    found: list[tuple[str | None, str | None]] = []

    def looking(original):
        def step(self, *arguments, **named):
            found.append(seen(models))
            result = original(self, *arguments, **named)
            found.append(seen(models))
            return result

        return step

    def put(version: str) -> list[tuple[str | None, str | None]]:
        found.clear()
        source = tmp_path / f"weights {version}"
        source.write_text(f"weights of {version}")
        with monkeypatch.context() as patch:
            for name in CHANGES:
                patch.setattr(Path, name, looking(getattr(Path, name)))
            put_pair(models, source, json.dumps({"version": version}).encode())
        return [*found, seen(models)]

    put.models = models
    return put


def test_the_first_pair_appears_in_one_step(watched):
    assert set(watched("1")) == {(None, None), ("1", "1")}
    assert watched("1") == [("1", "1")]  # nothing is done


def test_a_change_is_one_step_and_old_pairs_go(watched):
    watched("1")
    assert set(watched("2")) == {("1", "1"), ("2", "2")}
    for version in ("3", "2", "4", "1"):
        watched(version)
    assert seen(watched.models) == ("1", "1")
    assert len(list((watched.models / "pairs").iterdir())) == 2  # the pair, and the one before


@pytest.mark.parametrize("how", ["by copies", "copied without links"])
def test_plain_files_become_links_without_a_reader_seeing_two_versions(watched, tmp_path, how):
    watched("1")
    models = watched.models
    if how == "by copies":
        plain = {name: (models / name).read_bytes() for name in (CURRENT_WEIGHTS, CURRENT_SIDECAR)}
        shutil.rmtree(models)
        models.mkdir()
        for name, data in plain.items():
            (models / name).write_bytes(data)
    else:
        shutil.copytree(models, tmp_path / "copy")
        shutil.rmtree(models)
        shutil.copytree(tmp_path / "copy", models)
    assert not (models / CURRENT_WEIGHTS).is_symlink()
    assert watched("1") == [("1", "1")]
    assert set(watched("2")) == {("1", "1"), ("2", "2")}
    assert (models / CURRENT_WEIGHTS).is_symlink()


def test_where_links_are_refused_there_is_never_a_pair_of_two_versions(watched, monkeypatch):
    def refused(self, target):
        raise OSError(errno.EPERM, "Operation not permitted", str(self))

    monkeypatch.setattr(Path, "symlink_to", refused)
    assert set(watched("1")) == {(None, None), ("1", None), ("1", "1")}
    assert set(watched("2")) == {("1", "1"), ("1", None), ("2", None), ("2", "2")}
    assert not list(watched.models.glob("*.tmp-*"))
    monkeypatch.undo()
    assert set(watched("3")) == {("2", "2"), ("3", "3")}  # the drive takes links now


def test_another_error_of_the_drive_is_no_refusal(watched, monkeypatch):
    def full(self, target):
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    watched("1")
    monkeypatch.setattr(Path, "symlink_to", full)
    with pytest.raises(StorageError):
        watched("2")
    assert seen(watched.models) == ("1", "1")


def test_a_drive_that_is_full_is_told_before_the_champion_changes(released, monkeypatch):
    def full(source, target):
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    models = released.settings.models_dir
    before = {path: path.read_bytes() for path in models.glob("*.json*")}
    with monkeypatch.context() as patch:
        patch.setattr(weights_and_sidecar.shutil, "copyfile", full)
        with pytest.raises(StorageError, match="full"):
            rollback(released.settings)
    assert {path: path.read_bytes() for path in models.glob("*.json*")} == before
    assert rollback(released.settings).version == 1


def test_a_drive_that_fails_after_the_champion_changed_says_so(released, monkeypatch):
    """The last step of a drive on its way out; an error alone would read as if nothing had happened."""

    def gone(path, target):
        raise StorageError("The drive is gone", where=path)

    with monkeypatch.context() as patch:
        patch.setattr(weights_and_sidecar, "replace_link", gone)
        with pytest.raises(StorageError, match="Version 1 is the champion now") as caught:
            rollback(released.settings)
    assert "do not repeat the command" in caught.value.do
    assert seen_version(released) == 2
    assert champion(released.settings).version == 1
    assert seen_version(released) == 1


def seen_version(released):
    return read_json(released.settings.models_dir / CURRENT_SIDECAR)["version"]


def test_damage_to_a_pair_is_made_good(watched):
    watched("1")
    watched.models.joinpath(CURRENT_WEIGHTS).write_text("something else")  # through the link
    watched("1")
    assert seen(watched.models) == ("1", "1")


def test_who_writes_through_the_name_does_not_write_into_the_version(released):
    models = released.settings.models_dir
    before = sha256_file(models / "versions" / "2" / "model.pth")
    (models / CURRENT_WEIGHTS).write_bytes(b"something else")
    assert sha256_file(models / "versions" / "2" / "model.pth") == before
    assert champion(released.settings).version == 2
    assert sha256_file(models / CURRENT_WEIGHTS) == before


def test_a_data_root_copied_without_links_goes_on(released, tmp_path):
    copied = tmp_path / "copied"
    shutil.copytree(released.root, copied)
    from beatsight_core.settings import load_settings

    settings = load_settings(copied)
    assert rollback(settings).version == 1
    assert read_json(settings.models_dir / CURRENT_SIDECAR)["version"] == 1
    assert (settings.models_dir / weights_and_sidecar.CURRENT).is_symlink()


def test_a_link_that_a_killed_writer_left_is_removed_and_not_what_it_leads_to(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("kept")
    name = temporary_path(tmp_path / "link").name
    dead = name.replace(name.split("-")[-2], "999999999")
    (tmp_path / dead).symlink_to("folder")
    assert remove_leftovers(tmp_path) == 1
    assert (tmp_path / "folder" / "file").read_text() == "kept"
    assert not (tmp_path / dead).is_symlink()
