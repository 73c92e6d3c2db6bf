"""Configurations and status pages follow the champion: promote, rollback, a kill in between; and only where allowed."""

import dataclasses
import json
import os
import re
import signal
import stat

import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from beatsight_core.errors import SettingsError, StorageError
from beatsight_core.promotion.external import announce, edit_file, status_pages
from beatsight_core.promotion.external.status_pages import BEGIN, END
from beatsight_core.promotion.judge import judged
from beatsight_core.promotion.preview import preview_promotion
from beatsight_core.promotion.promote import apply_pending, champion, promote, rollback
from beatsight_core.runs.lookup import champion_version
from beatsight_core.settings import load_settings
from tests.core.promotion.test_killed import run_child

PAGE = f"# Ours\r\n\r\n{BEGIN}\r\n{END}\r\nend\r\n"
SETTINGS = """
[release]
roots = ["../app"]
current_status = "docs/CURRENT_STATUS.md"
next_steps = "docs/NEXT_STEPS.md"
[[release.configs]]
file = "../app/pipeline.json"
key = "models.drums"
[[release.configs]]
file = "../app/pipeline.json"
key = "models.sum"
value = "{sha256}"
[[release.configs]]
file = "../app/.env"
key = "DRUM_MODEL"
value = "v{version}"
"""


@pytest.fixture
def told(released):
    """Settings that name two configurations and two pages, all of them there."""
    app, docs = released.root.parent / "app", released.root / "docs"
    app.mkdir()
    docs.mkdir()
    (app / "pipeline.json").write_text('{"models": {"drums": "none",  "sum": ""}, "keep": 1.50}')
    (app / ".env").write_text("# secrets\nTOKEN=hush\nDRUM_MODEL=none  # ours\n")
    (app / ".env").chmod(0o600)
    for name in ("CURRENT_STATUS.md", "NEXT_STEPS.md"):
        (docs / name).write_bytes(PAGE.encode())
    toml = released.root / "beatsight.toml"
    toml.write_text(toml.read_text() + SETTINGS)
    return load_settings(released.root)


def app_of(settings):
    app = settings.data_root.parent / "app"
    return json.loads((app / "pipeline.json").read_text()), (app / ".env").read_text()


def told_of(settings):
    """The version that each file tells of."""
    pipeline, env = app_of(settings)
    pages = [(settings.data_root / "docs" / name).read_text() for name in ("CURRENT_STATUS.md", "NEXT_STEPS.md")]
    named = [re.search(r"(?:: |after )version (\d+)", page) for page in pages]
    return (
        int(pipeline["models"]["drums"].split("/")[-2]),
        int(re.search(r"DRUM_MODEL=v(\d+)  # ours", env)[1]),
        *(int(found[1]) for found in named),
    )


def test_a_rollback_tells_all_who_name_the_champion(told):
    result = rollback(told, why="it hears <b>ghosts</b>")
    assert told_of(told) == (1, 1, 1, 1)
    pipeline, env = app_of(told)
    sidecar = json.loads((told.models_dir / "current_drum_classifier.json").read_text())
    assert pipeline["models"] == {"drums": str(told.models_dir / "versions/1/model.pth"), "sum": sidecar["sha256"]}
    assert "TOKEN=hush" in env
    app = told.data_root.parent / "app"
    assert stat.S_IMODE((app / ".env").stat().st_mode) == 0o600
    backups = {path.name: path for path in app.iterdir() if path.name.endswith(".bak")}
    assert len(backups) == 2
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for name, path in backups.items() if ".env" in name)
    assert '"drums": "none"' in next(path for name, path in backups.items() if "json" in name).read_text()
    steps = (told.data_root / "docs" / "NEXT_STEPS.md").read_text()
    assert "why version 2 was taken back (it hears &lt;b&gt;ghosts&lt;/b&gt;)" in steps
    diffs = "\n".join(change["diff"] for change in result.to_json()["changes"])
    assert "+DRUM_MODEL=v1" in diffs
    assert "hush" not in diffs

    status = (told.data_root / "docs" / "CURRENT_STATUS.md").read_bytes().decode()
    assert "&lt;b&gt;ghosts" in status
    assert re.search(r"\| accuracy \| 0\.\d{4} \| 0\.\d{4} \| [+-]0\.\d{4} \|", status)
    assert "| figure | version 1 | version 2, before | change |" in status
    for link in re.findall(r"\]\(([^)]+)\)", status):
        assert (told.data_root / "docs" / link).exists()
    assert status.startswith("# Ours\r\n\r\n" + BEGIN)
    assert status.endswith(END + "\r\nend\r\n")
    assert "\n" not in status.replace("\r\n", "")


@pytest.mark.parametrize("name", ["warmup-real_kits-1a2b3c4d", "a*b_c[d]"])
def test_a_command_on_a_page_can_be_copied_as_it_stands(name):
    assert status_pages._command(f"beatsight archive {name}") == f"`beatsight archive {name}`"
    assert status_pages._command("beatsight archive a`b\nc") == "`beatsight archive ab c`"


@pytest.mark.long
def test_promoting_tells_them_too_and_a_person_may_change_them_in_between(told):
    rollback(told)
    app = told.data_root.parent / "app"
    (app / ".env").write_text("DRUM_MODEL=mine  # ours\n")
    champion(told)
    assert app_of(told)[1] == "DRUM_MODEL=mine  # ours\n"  # announced once
    result = promote(told, champion_runs(told)[1], device="cpu")
    assert told_of(told) == (2, 2, 2, 2)
    assert len(result.to_json()["changes"]) == 4
    steps = (told.data_root / "docs" / "NEXT_STEPS.md").read_text()
    assert "beatsight rollback" in steps
    assert f"`beatsight archive {champion_runs(told)[1]}`" in steps  # to be copied, so nothing in it is escaped
    (app / "other.toml").write_text("model = 'x'\n")
    another = dataclasses.replace(told.release.configs[0], file=app / "other.toml", key="model", value="{run_id}")
    more = dataclasses.replace(told, release=dataclasses.replace(told.release, configs=(another,)))
    champion(more)
    assert (app / "other.toml").read_text() == "model = 'x'\n"  # a look changes nothing of others
    promote(more, result.run_id, device="cpu")  # a file that settings name from now on is told by the next release
    assert (app / "other.toml").read_text() == f"model = '{result.run_id}'\n"


def champion_runs(settings):
    return [entry["run_id"] for entry in json.loads((settings.models_dir / "champion.json").read_text())["history"]]


def test_a_dry_run_shows_the_lines_and_changes_nothing(told):
    before = app_of(told)
    result = rollback(told, dry_run=True).to_json()
    assert (result["dry_run"], result["version"], len(result["changes"])) == (True, 1, 4)
    assert app_of(told) == before
    assert champion_version(told) == 2
    judgement = judged(told, champion_runs(told)[1])
    assert preview_promotion(told, judgement).to_json()["changes"] == []  # it is the champion
    rollback(told)
    preview = preview_promotion(told, judgement).to_json()
    assert (preview["version"], preview["promoted"]) == (2, False)  # made before
    assert [f"versions/{number}/" in preview["changes"][0]["diff"] for number in (1, 2)] == [True, True]
    assert told_of(told) == (1, 1, 1, 1)


@pytest.mark.parametrize("fatal", [3, 5])
def test_a_kill_between_is_completed_on_request(told, fatal):
    """Before the third step the pointer has moved and nobody is told; before the fifth all are, with no note of it."""
    done = run_child(told.data_root, ["rollback"], fatal)
    assert done.returncode == -signal.SIGKILL, done.stderr
    app = told.data_root.parent / "app"
    if fatal == 3:
        assert app_of(told)[0]["models"]["drums"] == "none"
    else:
        assert told_of(told) == (1, 1, 1, 1)
    backups = {path.name for path in app.glob("*.bak")}
    assert apply_pending(told).version == 1
    assert told_of(told) == (1, 1, 1, 1)
    assert fatal == 3 or {path.name for path in app.glob("*.bak")} == backups
    assert not list(app.glob("*.tmp-*"))


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        ("config gone", "not there"),
        ("key gone", "no value models.drums"),
        ("marker gone", "0 marks that begin"),
        ("marker twice", "2 marks that begin"),
        ("markers turned", "put these two lines"),
        ("leads outside", "outside the folders"),
        ("no such name", "knows no"),
        ("no format", "no known format"),
        ("read-only", "is read-only"),
        ("one page", "name the same page"),
    ],
)
def test_what_cannot_be_told_stops_a_change_before_it_begins(told, damage, why, tmp_path):
    app, status = told.data_root.parent / "app", told.data_root / "docs" / "CURRENT_STATUS.md"
    page = status.read_bytes()
    if damage == "config gone":
        (app / ".env").unlink()
    elif damage == "key gone":
        (app / "pipeline.json").write_text('{"models": {}}')
    elif damage == "leads outside":
        (tmp_path / "else").mkdir()
        (tmp_path / "else" / "pipeline.json").write_text('{"models": {"drums": "", "sum": ""}}')
        (app / "pipeline.json").unlink()
        (app / "pipeline.json").symlink_to(tmp_path / "else" / "pipeline.json")
    elif damage == "read-only":
        (app / ".env").chmod(0o444)
    elif damage == "one page":
        told = dataclasses.replace(told, release=dataclasses.replace(told.release, next_steps=status))
    elif damage in ("no such name", "no format"):
        (app / "a.ini").write_text("")
        changed = {"value": "{home}"} if damage == "no such name" else {"file": app / "a.ini"}
        wrong = dataclasses.replace(told.release.configs[0], **changed)
        told = dataclasses.replace(told, release=dataclasses.replace(told.release, configs=(wrong,)))
    else:
        begin, end = BEGIN.encode(), END.encode()
        turned = page.replace(begin, b"@").replace(end, begin).replace(b"@", end)
        status.write_bytes(
            {"marker gone": page.replace(begin, b""), "marker twice": page + begin, "markers turned": turned}[damage]
        )
    history = (told.models_dir / "history.jsonl").read_bytes()
    with pytest.raises(SettingsError, match=why) as caught:
        rollback(told)
    assert caught.value.do
    assert champion_version(told) == 2
    assert (told.models_dir / "history.jsonl").read_bytes() == history
    assert champion(told).version == 2  # looking goes on, with a warning


def test_a_link_within_the_roots_stays_a_link(told):
    app = told.data_root.parent / "app"
    (app / "pipeline.json").rename(app / "real.json")
    (app / "pipeline.json").symlink_to("real.json")
    rollback(told)
    assert (app / "pipeline.json").is_symlink()
    assert told_of(told) == (1, 1, 1, 1)


def test_other_values_of_a_line_are_not_shown_and_a_files_owner_stays(told):
    """Root promotes, and the program whose file it is still reads it."""
    path = told.data_root.parent / "app" / "pipeline.json"
    path.write_text('{"token":"hush","models":{"drums":"none","key":"whisper","sum":""},"other":["quiet"]}')
    path.chmod(0o600)
    owner = (12345, 12345) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    os.chown(path, *owner)
    said = json.dumps(rollback(told).to_json())
    assert all(word in said for word in ("drums", "versions/1/model.pth", "sum"))
    assert not [word for word in ("hush", "whisper", "quiet") if word in said]
    assert told_of(told)[0] == 1
    for each in path.parent.glob("pipeline.json*"):
        assert (each.stat().st_uid, each.stat().st_gid) == owner
        assert stat.S_IMODE(each.stat().st_mode) == 0o600


def test_who_cannot_be_told_when_the_champion_has_changed_is_told_by_the_next_command(told, monkeypatch):
    """It is no failure of the rollback: repeated, that would go one step further back."""
    with monkeypatch.context() as patch:
        patch.setattr(edit_file, "atomic_path", full_drive)
        result = rollback(told).to_json()
    assert (result["version"], result["changes"]) == (1, [])
    assert "`beatsight models --apply` tries again" in result["untold"]
    assert champion_version(told) == 1
    assert len(rollback(told, "1").changes) == 4
    assert told_of(told) == (1, 1, 1, 1)


def test_what_somebody_writes_at_that_very_moment_stays(told):
    env = told.data_root.parent / "app" / ".env"
    now = champion(told)
    after = now.succeeded_by(1, {name: value for name, value in now.history[0].items() if name != "version"})
    changes = announce.plan_announcement(told, after)
    env.write_text("DRUM_MODEL=mine\n")
    with pytest.raises(SettingsError, match="changed while"):
        next(change for change in changes if change.path == env.resolve()).apply()
    assert env.read_text() == "DRUM_MODEL=mine\n"


def full_drive(path):
    raise StorageError("The disk is full", where=path)


@budget(max_examples=60, deadline=None)
@given(before=st.binary(max_size=40), after=st.binary(max_size=40), inside=st.binary(max_size=40), text=st.text())
def test_not_a_byte_outside_the_markers_changes(before, after, inside, text):
    whole = b"".join([before, BEGIN.encode(), inside, END.encode(), after])
    if whole.count(BEGIN.encode()) != 1 or whole.count(END.encode()) != 1:
        return
    written = status_pages._between_markers(whole, "page", text.replace(BEGIN, "").replace(END, ""))
    assert written.startswith(before + BEGIN.encode())
    assert written.endswith(END.encode() + after)


def test_nobody_to_tell_leaves_no_note(released):
    rollback(released.settings)
    assert not (released.settings.models_dir / announce.ANNOUNCED).exists()
