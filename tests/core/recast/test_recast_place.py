"""Where recast audio lies: never behind a link, never among recordings, and where earlier versions put it, too."""

import json
import shutil

import pytest

from beatsight_core.audio.roots import Status, resolve_audio
from beatsight_core.demo.corpus import make_demo
from beatsight_core.errors import UsageError
from beatsight_core.recast.pieces import Casting, Hit, spelling_in
from beatsight_core.recast.recast import recast_manifest
from beatsight_core.settings import DatasetSettings, load_settings
from beatsight_core.taxonomy import CORE
from tests.core.recast.test_recast import lines_of, write_manifest


@pytest.fixture
def recordings(tmp_path):
    """Somebody's recordings, elsewhere."""
    folder = tmp_path / "recordings"
    (folder / "recast" / "song").mkdir(parents=True)
    (folder / "recast" / "song" / "mine.flac").write_bytes(b"a take")
    return folder


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "data"
    write_manifest(root, [["kick"]], sessions=3)
    return root


def everything(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_linked_raw_leads_nothing_out_and_what_was_played_is_found(root, recordings):
    (root / "raw").symlink_to(recordings)
    before = everything(recordings)
    recast = recast_manifest(load_settings(root), "song.jsonl", rounds=1, workers=1)
    assert everything(recordings) == before
    assert recast.folder == str(root / "recast" / "recast" / "song")
    source = load_settings(root).source("recast")
    for event in lines_of(recast.manifest):
        found = resolve_audio(source, event["audio_path"])
        assert (found.status, found.root) == (Status.OK, root / "recast" / "recast")


@pytest.mark.parametrize("link", ["recast", "recast/recast", "recast/recast/song"])
def test_a_link_in_its_own_place_is_refused_before_anything_is_written(root, recordings, link):
    (root / link).parent.mkdir(parents=True, exist_ok=True)
    (root / link).symlink_to(recordings)
    before = everything(recordings)
    with pytest.raises(UsageError, match="never written through a link") as refusal:
        recast_manifest(load_settings(root), "song.jsonl", rounds=1)
    assert (refusal.value.where, everything(recordings)) == (str(root / link), before)
    assert not (root / "manifests" / "song_recast.jsonl").exists()


def test_a_data_root_behind_a_link_is_a_data_root(root, tmp_path):
    (tmp_path / "link").symlink_to(root)
    recast = recast_manifest(load_settings(tmp_path / "link"), "song.jsonl", rounds=1, workers=1)
    assert len(list((root / "recast" / "recast" / "song").glob("*.flac"))) == recast.sessions


def test_configured_roots_of_recordings_stay_as_they_are(root, recordings):
    (root / "beatsight.toml").write_text(f"[sources.recast]\nroots = ['{recordings}']\n")
    before = everything(recordings)
    recast_manifest(load_settings(root), "song.jsonl", rounds=1, workers=1)
    assert everything(recordings) == before
    assert load_settings(root).source("recast").roots == (root / "recast" / "recast", recordings)


def test_a_manifest_of_somebody_under_the_new_ones_name_is_not_written_over(root):
    mine = root / "manifests" / "song_recast.jsonl"
    for line in ("", "no JSON", '{"source_set": "recast"}', '{"source_set": "studio", "is_synthetic": true}', "[1]"):
        mine.write_text(line)
        with pytest.raises(UsageError, match="another manifest under the name"):
            recast_manifest(load_settings(root), "song.jsonl", rounds=1)
        assert mine.read_text() == line
    mine.unlink()
    recast_manifest(load_settings(root), "song.jsonl", rounds=1, workers=1)
    assert recast_manifest(load_settings(root), "song.jsonl", rounds=2, workers=1).rounds == 2  # its own may change


def test_what_an_earlier_version_put_among_the_recordings_is_found(root):
    """It lay under raw/, with its receipt; the manifest in the inbox names it."""
    recast = recast_manifest(load_settings(root), "song.jsonl", rounds=1, workers=1)
    (root / "raw").mkdir()
    shutil.move(root / "recast" / "recast", root / "raw" / "recast")
    shutil.rmtree(root / "recast")
    source = load_settings(root).source("recast")
    assert source.roots[0] == root / "raw" / "recast"
    paths = {event["audio_path"] for event in lines_of(recast.manifest)}
    assert all(resolve_audio(source, path).root == root / "raw" / "recast" for path in paths)
    again = recast_manifest(
        load_settings(root), "song.jsonl", rounds=1, workers=1
    )  # in its new place, which then counts
    assert load_settings(root).source("recast").roots[:2] == (root / "recast" / "recast", root / "raw" / "recast")
    assert lines_of(again.manifest) == lines_of(recast.manifest)


def test_sessions_that_differ_in_case_only_are_not_played_into_one_file():
    casting = Casting("song", "recast", 1, 1, DatasetSettings(), spelling_in(CORE))
    hits = (Hit(0, ()),)
    paths = [casting.piece(name, 0, 0, hits).audio_path for name in ("take a", "Take A", "TAKE A", "take A")]
    assert len({path.casefold() for path in paths}) == 4
    assert paths[0] == "song/take a_recast1_01_take1.flac"


def test_a_demo_is_not_made_behind_a_link_either(tmp_path, recordings):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "raw").symlink_to(recordings)
    before = everything(recordings)
    with pytest.raises(UsageError, match="never written through a link"):
        make_demo(tmp_path / "demo", size="tiny")
    assert everything(recordings) == before
    assert json.dumps([path.name for path in (tmp_path / "demo").iterdir()]) == '["raw"]'
