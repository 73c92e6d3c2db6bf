"""Forgetting a manifest takes what was made of it and nothing else, and asks first where something still names it."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from beatsight_core.cli.main import beatsight
from beatsight_core.dataset.in_use import shards_in_use
from beatsight_core.dataset.page.dataset_page import write_dataset_page
from beatsight_core.errors import BeatSightError, ManifestError, UsageError
from beatsight_core.manifest.identity import manifest_key
from beatsight_core.manifest.inbox.wishes import read_wish, wish_retry
from beatsight_core.manifest.read_manifest import build_catalog
from beatsight_core.storage.forget import find_key, forget_manifest, known_keys
from beatsight_core.storage.prune import prune


def call(place, *arguments, answer=None):
    return CliRunner().invoke(beatsight, ["manifest", *arguments, "--data-root", str(place.root)], input=answer)


def files(place) -> set[Path]:
    return {path for path in place.root.rglob("*") if path.is_file() and ".locks" not in path.parts}


def test_looking_changes_nothing_and_says_what_would_go(place):
    exported = place.export("m", range(6))
    before = files(place)
    looked = forget_manifest(place.settings, exported.key)
    assert not looked.done
    assert files(place) == before
    assert {Path(path).parent.name for path in looked.paths} == {"catalog", exported.key}
    assert looked.frees > 0


def test_what_was_made_of_it_goes_and_nothing_of_others(place, named):
    first, second = place.export("first", range(12)), place.export("second", range(11))
    for exported in (first, second):
        write_dataset_page(place.settings, exported.key)
    build_catalog(place.settings, first.key, limit=3)
    before = files(place)
    done = forget_manifest(place.settings, first.key, really=True)
    assert done.done
    gone = before - files(place)
    assert all(first.key in str(path) for path in gone)
    left = {path for path in files(place) if first.key in str(path)}
    assert left == {place.settings.catalog_dir / ".wishes" / f"{first.key}.json"}
    assert not (place.settings.dataset_dir / first.key).exists()
    assert (place.settings.manifests_dir / "first.jsonl").exists()
    assert known_keys(place.settings) == [second.key]
    assert place.shards() == named(first) | named(second)
    prune(place.settings, really=True)
    assert place.shards() == named(second)
    assert read_wish(place.settings, first.key).left is not None
    again = forget_manifest(place.settings, first.key, really=True)
    assert (again.done, again.paths) == (True, ())


def test_its_file_goes_only_if_that_is_asked(place):
    exported = place.export("m", range(2))
    done = forget_manifest(place.settings, exported.key, with_file=True, really=True)
    assert done.file in done.paths
    assert not (place.settings.manifests_dir / "m.jsonl").exists()
    assert read_wish(place.settings, exported.key).left is None  # put there again, it is a new manifest


def test_a_run_that_names_it_holds_it_until_a_reason_is_given(place):
    exported = place.export("m", range(4))
    place.learn(exported)
    with pytest.raises(UsageError, match="is named by run warmup-run"):
        forget_manifest(place.settings, exported.key, really=True)
    with pytest.raises(UsageError, match="The reason is empty"):
        forget_manifest(place.settings, exported.key, override=" ", really=True)
    assert forget_manifest(place.settings, exported.key, override="a mistake", really=True).done
    assert read_wish(place.settings, exported.key).why == "a mistake"
    assert (place.settings.run_root / "warmup-run").is_dir()


def test_a_version_holds_it_though_its_run_is_gone_and_an_archive_does_not(place):
    exported = place.export("m", range(4))
    run = place.learn(exported)
    archived = place.settings.archive_dir / "20261130" / "warmup-run" / "run"
    archived.mkdir(parents=True)
    shutil.move(run / "config.json", archived)
    looked = forget_manifest(place.settings, exported.key)
    assert (looked.runs, looked.archives) == ((), ("warmup-run",))
    version = place.settings.models_dir / "versions" / "3"
    version.mkdir(parents=True)
    about = {"run_id": "warmup-run", "gate": "", "forced": None, "digests": {}, "key": exported.key}
    (version / "version.json").write_text(json.dumps(about))
    (version / "checksums.json").write_text("{}")
    assert forget_manifest(place.settings, exported.key).versions == (3,)
    with pytest.raises(UsageError, match="is named by version 3"):
        forget_manifest(place.settings, exported.key, really=True)


@pytest.mark.parametrize(
    "ref", ["audio", "sounds", ".locks", "..", "../manifests", "shards", "", ".", "nowhere-00000000"]
)
def test_a_reference_never_leads_to_anything_else(place, ref):
    place.export("m", range(2))
    (place.settings.catalog_dir / "sounds").mkdir(exist_ok=True)
    before = files(place)
    with pytest.raises((ManifestError, BeatSightError)):
        find_key(place.settings, ref)
    assert forget_manifest(place.settings, ref).paths == ()
    forget_manifest(place.settings, ref or "x", really=True)
    assert before <= files(place)


def test_folders_of_users_in_the_catalog_stay(place):
    exported = place.export("m", range(2))
    mine = place.settings.catalog_dir / "notes-deadbeef"
    mine.mkdir()
    (mine / "notes.txt").touch()
    linked = place.settings.catalog_dir / "linked-deadbeef"
    linked.symlink_to(place.settings.catalog_dir / exported.key)
    for key in (mine.name, linked.name):
        assert forget_manifest(place.settings, key, really=True).paths == ()
    assert (mine / "notes.txt").exists()
    assert linked.is_symlink()


def test_a_damaged_catalog_can_be_forgotten_by_its_key(place):
    exported = place.export("m", range(2))
    folder = place.settings.catalog_dir / exported.key
    (folder / "summary.json").write_text("{")
    assert forget_manifest(place.settings, exported.key, really=True).done
    assert not folder.exists()


def test_while_an_export_is_at_work_nothing_goes(place):
    exported = place.export("m", range(2))
    with shards_in_use(place.settings), pytest.raises(UsageError, match="at work on the shards"):
        forget_manifest(place.settings, exported.key, really=True)
    assert known_keys(place.settings) == [exported.key]
    assert read_wish(place.settings, exported.key).forgotten_at is None


def test_a_beginning_that_fits_one_will_do_and_one_that_fits_two_is_refused(place):
    first, second = place.export("m-1", range(2)), place.export("m-2", range(3))
    assert find_key(place.settings, first.key[:4]) == first.key
    assert find_key(place.settings, "m-2.jsonl") == second.key
    with pytest.raises(UsageError, match="fits 2 manifests"):
        find_key(place.settings, "m-")
    assert find_key(place.settings, "by-hand", ["by-hand"]) == "by-hand"


def test_the_verb_asks_says_and_does(place):
    exported = place.export("m", range(2))
    for options in (["--dry-run"], [], ["--dry-run", "--yes"]):
        result = call(place, "forget", exported.key, *options)
        assert result.exit_code == 0, result.output
        assert "would be forgotten" in result.output
        assert "Dagster was never used here" in result.output
    assert known_keys(place.settings) == [exported.key]
    place.learn(exported)
    refused = call(place, "forget", exported.key, "--yes")
    assert refused.exit_code == 2
    assert '--override-use "reason"' in refused.stderr
    said = json.loads(call(place, "forget", exported.key, "--yes", "--override-use", "a test", "--json").stdout)
    assert (said["done"], said["partition"], said["runs"]) == (True, None, ["warmup-run"])
    assert known_keys(place.settings) == []
    assert call(place, "forget", "nowhere", "--yes").exit_code == 3


def test_at_a_terminal_it_asks(place, monkeypatch):
    monkeypatch.setattr("beatsight_core.cli.verbs.forget._at_terminal", lambda session: True)
    exported = place.export("m", range(2))
    for answer in ("n\n", "\n"):
        result = call(place, "forget", exported.key, answer=answer)
        assert result.exit_code == 0
        assert "Forget it?" in result.output
        assert known_keys(place.settings) == [exported.key]
    assert "is forgotten" in call(place, "forget", exported.key, answer="y\n").output
    assert known_keys(place.settings) == []


def test_retry_is_for_manifests_of_the_inbox_and_undoes_forgetting(place, tmp_path):
    path = place.manifest("m", range(2))
    key = manifest_key(path)
    forget_manifest(place.settings, key, really=True)
    result = call(place, "retry", "m.jsonl")
    assert result.exit_code == 0, result.output
    assert f"{key} is asked for once more" in result.output
    wish = read_wish(place.settings, key)
    assert (wish.retries, wish.left) == (1, None)
    assert wish.forgotten_at is not None
    assert json.loads(call(place, "retry", key, "--json").stdout)["retries"] == 2
    elsewhere = path.rename(tmp_path / "m.jsonl")
    outside = call(place, "retry", str(elsewhere))
    assert outside.exit_code == 2
    assert "Only a manifest of the inbox" in outside.stderr
    assert wish_retry(place.settings, key).retries == 3
