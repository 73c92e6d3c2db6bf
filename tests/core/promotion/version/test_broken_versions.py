"""Versions that were damaged or deleted: the way back from them stays open, and the others are not held up."""

import dataclasses
import json
import shutil

import pytest

from beatsight_core.errors import ModelError
from beatsight_core.files import sha256_file
from beatsight_core.promotion.archive.write_archive import archive_run
from beatsight_core.promotion.external.status_pages import BEGIN, END
from beatsight_core.promotion.judge import judged
from beatsight_core.promotion.preview import preview_promotion
from beatsight_core.promotion.promote import promote, rollback
from beatsight_core.promotion.version.model_list import list_models
from beatsight_core.runs.lookup import champion_version, find_model
from beatsight_core.runs.roles import read_pointer


@pytest.fixture
def with_pages(released):
    pages = {name: released.root / f"{name}.md" for name in ("current_status", "next_steps")}
    for page in pages.values():
        page.write_text(f"{BEGIN}\n{END}\n")
    settings = released.settings
    return dataclasses.replace(settings, release=dataclasses.replace(settings.release, **pages))


@pytest.mark.parametrize("damage", ["gone", "metrics.json", "version.json"])
def test_a_rollback_from_a_broken_champion_is_told_on_the_pages(with_pages, damage):
    """They compare with the version before, which is the broken one."""
    broken = with_pages.models_dir / "versions" / "2"
    if damage == "gone":
        shutil.rmtree(broken)
    else:
        (broken / damage).write_text("{}")
    assert rollback(with_pages, why="its drive failed").version == 1
    page = with_pages.release.current_status.read_text()
    assert "version 1 is in use" in page
    assert "The files of the version before are damaged or gone." in page
    assert "| accuracy | 0." in page


def test_a_rollback_to_a_broken_version_is_refused_before_anything_is_planned(with_pages):
    (with_pages.models_dir / "versions" / "1" / "gate.json").unlink()
    for dry_run in (True, False):
        with pytest.raises(ModelError, match=r"Version 1 is broken: gate\.json"):
            rollback(with_pages, dry_run=dry_run)
    assert champion_version(with_pages) == 2


@pytest.mark.parametrize("version", [1, 2])
def test_the_list_shows_a_broken_version_as_such(released, version):
    (released.settings.models_dir / "versions" / str(version) / "version.json").write_text("[")
    listed = list_models(released.settings).to_json()
    rows = {row["version"]: row for row in listed["models"]}
    assert rows[version]["notice"].startswith("BROKEN")
    assert rows[version]["accuracy"] is None
    assert set(rows[1]) == set(rows[2])
    assert [rows[number]["role"] for number in (1, 2)] == ["previous", "champion"]
    assert len(listed["history"]) == 2


@pytest.mark.long
def test_a_broken_old_version_holds_up_neither_promotion_nor_archive(released):
    settings = released.settings
    rollback(settings)
    (settings.models_dir / "versions" / "2" / "version.json").write_text("{}")
    result = promote(settings, released.second.run_id, device="cpu")
    assert (result.version, champion_version(settings)) == (3, 3)  # made anew, as the first one cannot be used
    assert archive_run(settings).run_id == released.second.run_id


def test_a_number_is_given_once_also_if_its_version_was_deleted(released):
    settings = released.settings
    rollback(settings)
    judgement = judged(settings, released.second.run_id)
    assert preview_promotion(settings, judgement).version == 2  # it is there
    (settings.models_dir / "versions" / "2" / "checksums.json").unlink()
    assert preview_promotion(settings, judgement).version == 3  # its folder is in the way
    shutil.rmtree(settings.models_dir / "versions" / "2")
    assert preview_promotion(settings, judgement).version == 3  # the history tells of a version 2


@pytest.mark.parametrize(
    "change", [{"history": []}, {"version": 1}, {"history": None}, {"history": [{}]}, {"version": "new"}]
)
def test_a_pointer_that_says_two_things_is_broken(released, change):
    path = released.settings.models_dir / "champion.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    for look in (rollback, list_models, find_model, champion_version):
        with pytest.raises(ModelError, match="pointer to the champion is broken"):
            look(released.settings)


ENTRY = {"version": 1, "action": "promote", "run_id": "r", "at": "2026-01-01T00:00:00+00:00", "by": "me", "why": "good",
         "forced": None, "notice": None}  # fmt: skip


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("damage", [*ENTRY, "no table", "a number for at", "a text for version"])
def test_a_history_that_lacks_what_its_readers_ask_for_is_broken(settings, place, damage):
    history = [dict(ENTRY), dict(ENTRY)]
    if damage == "no table":
        history[place] = 3
    elif damage.startswith("a "):
        history[place][damage.rsplit(maxsplit=1)[-1]] = 7 if "number" in damage else "one"
    else:
        del history[place][damage]
    settings.models_dir.mkdir()
    (settings.models_dir / "champion.json").write_text(json.dumps({"version": 1, "history": history}))
    with pytest.raises(ModelError, match=f"entry {place + 1} of its history"):
        read_pointer(settings)


def test_what_lay_under_the_champions_name_before_the_first_promotion_is_kept(released):
    settings = released.settings
    models = settings.models_dir
    for name in ("champion.json", "history.jsonl", "current_drum_classifier.pth", "current_drum_classifier.json"):
        (models / name).unlink()
    for folder in ("pairs", "versions"):
        shutil.rmtree(models / folder)
    (models / "current").unlink()
    by_hand = models / "current_drum_classifier.pth"
    by_hand.write_bytes(b"copied here by hand")
    assert promote(settings, released.first.run_id, force="to begin with", device="cpu").version == 1
    (kept,) = models.glob("*.bak")
    assert kept.read_bytes() == b"copied here by hand"
    assert kept.name.startswith("current_drum_classifier.pth.")
    assert sha256_file(by_hand) == sha256_file(models / "versions" / "1" / "model.pth")
