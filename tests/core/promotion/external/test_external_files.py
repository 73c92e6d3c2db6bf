"""External files after a move, a hand's change, a kill: told by every listing, written only on request."""

import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from beatsight_core.cli.main import beatsight
from beatsight_core.doctor.external import examine_external_files
from beatsight_core.errors import SettingsError
from beatsight_core.promotion.external import announce
from beatsight_core.promotion.external.external_files import places_to_tell
from beatsight_core.promotion.external.status_pages import BEGIN, END
from beatsight_core.promotion.promote import apply_pending, champion, rollback
from beatsight_core.settings import load_settings

LISTINGS = (["models"], ["doctor"], ["archive", "--verify"])
PAGE = f"# Ours\n\n{BEGIN}\n{END}\nend\n"


def settings_text(app: Path) -> str:
    return f"""
[release]
roots = ["{app}"]
current_status = "{app}/CURRENT_STATUS.md"
[[release.configs]]
file = "{app}/drums.toml"
key = "models.drums.path"
[[release.configs]]
file = "{app}/.env"
key = "DRUM_MODEL"
value = "file://{{folder}}"
[[release.configs]]
file = "{app}/.env"
key = "DRUM_VERSION"
value = "{{version}}"
"""


@pytest.fixture
def outside(released, tmp_path):
    """A data root, released and told of, whose external files lie in a folder that stays when the root moves."""
    app = tmp_path / "app"
    app.mkdir()
    (app / "drums.toml").write_text('models = { token = "hush", drums = { path = "my own.pth" } } # ours\n')
    (app / ".env").write_text("DRUM_MODEL=none\nDRUM_VERSION=0\n")
    (app / "CURRENT_STATUS.md").write_text(PAGE)
    toml = released.root / "beatsight.toml"
    toml.write_text(toml.read_text() + settings_text(app))
    return released.root, app


def call(*words):
    return CliRunner().invoke(beatsight, [str(word) for word in words])


def snapshot(*folders):
    return {
        path: (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() and path.stat().st_size < 2**24 else b"")
        for folder in folders
        for path in sorted([folder, *folder.rglob("*")])
    }


def moved(root: Path) -> Path:
    return Path(shutil.move(root, root.with_name("moved")))


def states(root):
    return {each.key: each.state for each in places_to_tell(load_settings(root))}


def test_a_listing_shows_pending_updates_and_writes_nothing(outside):
    root, app = outside
    before = snapshot(root, app)
    for words in (
        ["models"],
        ["models", "--json"],
        ["doctor"],
        ["archive", "--verify"],
        ["rollback", "1", "--dry-run"],
    ):
        shown = call(*words, "--data-root", root)
        assert "my own.pth" in shown.stdout, words  # the user's own value, that would be replaced
        assert "hush" not in shown.stdout
        assert {path: each for path, each in snapshot(root, app).items() if path.name != ".lock"} == {
            path: each for path, each in before.items() if path.name != ".lock"
        }, words
    external = json.loads(call("models", "--data-root", root, "--json").stdout)["external"]
    assert [each["state"] for each in external] == ["pending"] * 4
    assert 'models/versions/2/model.pth"' in external[0]["diff"]


def test_what_is_asked_for_is_written_shown_and_kept(outside):
    root, app = outside
    done = call("models", "--apply", "--data-root", root)
    assert done.exit_code == 0, done.stderr
    assert 'path = "my own.pth"' in done.stdout
    assert f"+DRUM_MODEL=file://{root}/models/versions/2" in done.stdout
    assert "+## 20" in done.stdout  # of the page, too
    assert "hush" not in done.stdout
    assert 'token = "hush"' in (app / "drums.toml").read_text()
    assert f'path = "{root}/models/versions/2/model.pth"' in (app / "drums.toml").read_text()
    assert sorted(path.name.split(".2")[0] for path in app.glob("*.bak")) == [".env", "drums.toml"]
    assert states(root) == {}
    again = json.loads(call("models", "--apply", "--data-root", root, "--json").stdout)
    assert again == {"version": 2, "changes": []}


def test_after_a_move_all_say_which_file_names_the_dead_path(outside):
    root, app = outside
    apply_pending(load_settings(root))
    old, root = root, moved(root)
    findings = []
    shown = examine_external_files(load_settings(root), findings)
    assert shown[f"{app}/drums.toml, models.drums.path"] == "outdated"
    assert shown[f"{app}/.env, DRUM_VERSION"] == "in line"  # a number moves with nothing
    assert {finding.level for finding in findings if "drums.toml" in finding.what} == {"error"}
    for words, code in (
        (["models"], 0),
        (["doctor"], 1),
        (["archive", "--verify"], 0),
        (["rollback", "2", "--dry-run"], 0),
    ):
        told = call(*words, "--data-root", root)
        assert told.exit_code == code, told.output
        assert f"{old}/models/versions/2/model.pth" in told.stdout, words
    assert f"{old}/models" in (app / "drums.toml").read_text()  # nobody asked yet
    call("rollback", "2", "--data-root", root)  # the champion stays, and what is pending is applied
    assert f"{root}/models" in (app / "drums.toml").read_text()
    assert states(root) == {}


def test_a_copied_root_is_told_as_long_as_the_other_is_there_too(outside):
    root, _ = outside
    apply_pending(load_settings(root))
    copy = root.with_name("copy")
    shutil.copytree(root, copy, symlinks=True)
    findings = []
    examine_external_files(load_settings(copy), findings)
    assert {finding.level for finding in findings} == {"warning"}  # what it names is there, but not this root's
    assert states(copy)["models.drums.path"] == "outdated"
    assert states(root) == {}


def test_a_record_of_an_earlier_release_tells_a_move_by_its_look(outside):
    root, app = outside
    apply_pending(load_settings(root))
    (root / "models" / announce.ANNOUNCED).write_text(json.dumps({"change": 2, "version": 2, "told": "x"}))
    assert states(root) == {}
    (app / ".env").write_text("DRUM_MODEL=file:///mine\nDRUM_VERSION=2\n")
    root = moved(root)
    expected = {"models.drums.path": "outdated", "DRUM_MODEL": "changed", "current_status": "outdated"}
    assert states(root) == expected
    champion(load_settings(root))
    rollback(load_settings(root), "2")
    assert (app / ".env").read_text().startswith("DRUM_MODEL=file:///mine\n")
    assert states(root) == {"DRUM_MODEL": "changed"}
    assert states(root) == {"DRUM_MODEL": "changed"}  # also by the record of now


def test_what_somebody_wrote_stays_until_it_is_asked_for_or_the_champion_changes(outside):
    root, app = outside
    settings = load_settings(root)
    apply_pending(settings)
    env = app / ".env"
    env.write_text(env.read_text().replace("DRUM_VERSION=2", "DRUM_VERSION=mine"))
    page = (app / "CURRENT_STATUS.md").read_text()
    (app / "CURRENT_STATUS.md").write_text(page.replace("is in use", "is in use, hurrah"))
    assert states(root) == {"DRUM_VERSION": "changed", "current_status": "changed"}
    rollback(settings, "2")
    assert states(root) == {"DRUM_VERSION": "changed", "current_status": "changed"}
    changes = apply_pending(settings).to_json()["changes"]
    assert "-DRUM_VERSION=mine" in changes[0]["diff"]
    assert states(root) == {}
    env.write_text(env.read_text().replace("DRUM_VERSION=2", "DRUM_VERSION=mine"))
    rollback(settings)
    assert states(root) == {}
    assert "DRUM_VERSION=1" in env.read_text()


@pytest.mark.parametrize(
    "damage", ["gone", "folder", "pipe", "huge", "links in a circle", "aliases", "latin-1", "no key", "outside"]
)
def test_a_place_that_cannot_be_looked_at_is_told_and_holds_up_no_listing(outside, damage):
    root, app = outside
    apply_pending(load_settings(root))
    toml = app / "drums.toml"
    toml.unlink()
    if damage == "folder":
        toml.mkdir()
    elif damage == "pipe":
        os.mkfifo(toml)
    elif damage == "huge":
        with toml.open("wb") as handle:
            handle.truncate(2**30)
    elif damage == "links in a circle":
        toml.symlink_to(toml)
    elif damage == "latin-1":
        toml.write_bytes(b"a = '\xe4'\n")
    elif damage == "no key":
        toml.write_text("models = 3\n")
    elif damage == "outside":
        toml.symlink_to("/etc/hostname")
    elif damage == "aliases":
        settings_file = root / "beatsight.toml"
        settings_file.write_text(settings_file.read_text().replace("drums.toml", "drums.yaml"))
        layers = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 25))
        (app / "drums.yaml").write_text(f"l0: &l0 [lol]\n{layers}models: {{drums: {{path: old}}}}\n")
    assert states(root) == {"models.drums.path": "refused"}
    assert call("models", "--data-root", root).exit_code == 0
    shown = call("doctor", "--data-root", root)
    assert shown.exit_code == 1
    assert "promotions stop there" in shown.stdout
    before = snapshot(app)
    refused = call("models", "--apply", "--data-root", root)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert snapshot(app) == before
    with pytest.raises(SettingsError):
        rollback(load_settings(root))


def test_files_that_would_stop_the_first_promotion_are_found_by_the_doctor(data_root, tmp_path):
    (data_root / "beatsight.toml").write_text(settings_text(tmp_path))
    (tmp_path / ".env").write_text("DRUM_MODEL=x\n")
    (tmp_path / "CURRENT_STATUS.md").write_text("no marks")
    findings = []
    shown = examine_external_files(load_settings(data_root), findings)
    assert set(shown.values()) == {"no champion yet"}
    assert [
        word in finding.what for word, finding in zip(["drums.toml", "DRUM_VERSION", "marks"], findings, strict=True)
    ]
    assert all(finding.level == "error" for finding in findings)
