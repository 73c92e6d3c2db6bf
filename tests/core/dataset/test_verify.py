import dataclasses

import pytest

from beatsight_core.dataset.verify_export import check_dataset, verify_manifest
from beatsight_core.errors import DatasetError


@pytest.fixture
def faulty(corpus):
    """A corpus with one of each fault."""
    corpus.add_file("a.wav", [0.1, 0.5, 3.0])
    corpus.add_file("b.wav", [0.1, 0.5], rate=48000, channels=2)
    corpus.add_file("text.wav", [0.1])
    corpus.path("text.wav").write_text("no audio")
    corpus.add_event("gone.wav", 0.1)
    corpus.add_event("a.wav", 0.7, ("no such thing",))
    return corpus


def test_verify_says_what_an_export_then_holds(faulty):
    manifest = faulty.write()
    before = sorted(faulty.settings.data_root.rglob("*"))
    verified = verify_manifest(faulty.settings, manifest).to_json()
    assert sorted(faulty.settings.data_root.rglob("*")) == before
    assert (verified["read"], verified["kept"], verified["rejected"]) == (8, 7, 1)
    assert verified["rejects_by_reason"] == {"unknown_component": 1}
    assert (verified["missing_audio"], verified["unreadable_audio"], verified["past_end"]) == (1, 1, 1)
    exported = faulty.export().to_json()
    assert verified["key"] == exported["key"]
    assert verified["clips"] == exported["hits"]
    assert verified["hits"] == exported["hits"] + exported["rejected"]
    assert verified["seconds_by_source"] == {"kits": pytest.approx(exported["seconds_by_split"])}
    assert exported["bytes"] <= verified["estimated_bytes"] < 3 * exported["bytes"]
    assert verified["free_bytes"] > 0
    assert [root["mounted"] for root in verified["roots"]] == [True, True]


def test_verify_of_the_first_lines(faulty):
    verified = verify_manifest(faulty.settings, faulty.write(), limit=2)
    assert (verified.read, verified.clips) == (2, 2)


def test_a_deep_look_finds_what_headers_hide_and_an_export_then_agrees(faulty):
    faulty.add_file("broken.flac", [0.1, 0.5, 7.5], seconds=8.0)
    path = faulty.path("broken.flac")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 20_000] = bytes(20_000)
    path.write_bytes(data)
    copy = faulty.path("copy.wav")
    copy.write_bytes(faulty.path("a.wav").read_bytes())
    faulty.add_event("copy.wav", 0.2)
    manifest = faulty.write()
    shallow = verify_manifest(faulty.settings, manifest)
    deep = verify_manifest(faulty.settings, manifest, deep=True)
    assert (shallow.past_end, deep.past_end) == (1, 2)
    assert (shallow.short, deep.short) == (0, 1)
    assert [file.audio_path for file in deep.noted_files] == ["broken.flac"]
    assert (shallow.duplicates.extra_files, deep.duplicates.extra_files) == (0, 1)
    again = verify_manifest(faulty.settings, manifest)  # what was learned is remembered
    assert dataclasses.replace(again, free_bytes=deep.free_bytes) == deep
    assert faulty.export().to_json()["hits"] == deep.clips


def test_a_whole_dataset_passes(several):
    result = several.export()
    checked = check_dataset(several.settings, result.key)
    assert checked.passed
    assert checked.checked == result.shards_written
    assert checked.to_json()["broken"] == []


def test_flips_and_losses_are_found_and_only_they_are_made_again(several):
    key = several.export().key
    before = several.shard_files()
    flipped, lost, *_ = sorted(several.settings.shards_dir.rglob("*.parquet"))
    data = bytearray(flipped.read_bytes())
    data[len(data) // 3] ^= 1
    flipped.write_bytes(data)
    lost.unlink()
    untouched = {path: path.stat().st_ino for path in several.settings.shards_dir.rglob("*.parquet") if path != flipped}
    checked = check_dataset(several.settings, key)
    assert not checked.passed
    assert (checked.broken, checked.missing) == ((str(flipped),), (str(lost),))
    healed = check_dataset(several.settings, key, heal=True)
    assert healed.passed
    assert healed.healed == 2
    assert several.shard_files() == before
    assert all(path.stat().st_ino == inode for path, inode in untouched.items())
    assert check_dataset(several.settings, key).passed


def test_a_damaged_index_is_found_and_healed(several):
    result = several.export()
    (path,) = result.index_paths
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"rows": 6', b'"rows": 7').replace(b'"rows": 3', b'"rows": 4'))
    assert check_dataset(several.settings, result.key).broken == (str(path),)
    assert check_dataset(several.settings, result.key, heal=True).passed
    assert path.read_bytes() == whole
    path.write_bytes(whole[:-1])  # a line end that means nothing is a byte all the same
    assert check_dataset(several.settings, result.key).broken == (str(path),)
    assert check_dataset(several.settings, result.key, heal=True).passed


@pytest.mark.parametrize("name", ["events.parquet", "hits.parquet", "rejected.jsonl", "summary.json"])
def test_a_flipped_bit_in_the_catalog_is_found_and_healed(several, name):
    several.events.append({"event_id": "not an event"})
    result = several.export()
    path = several.settings.catalog_dir / result.key / name
    whole, shards = path.read_bytes(), several.shard_files()
    data = bytearray(whole)
    data[-3 if name == "rejected.jsonl" else len(data) // 2] ^= 4
    path.write_bytes(data)
    assert check_dataset(several.settings, result.key).broken == (str(path),)
    assert check_dataset(several.settings, result.key, heal=True).passed
    assert path.read_bytes() == whole
    assert several.shard_files() == shards


def test_what_was_never_exported_cannot_be_checked(small):
    with pytest.raises(DatasetError, match="no dataset"):
        check_dataset(small, "nothing")
