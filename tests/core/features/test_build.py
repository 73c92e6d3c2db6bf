import dataclasses
import json

import numpy as np
import polars as pl
import pytest
from safetensors import safe_open

from beatsight_core.dataset.export import export_dataset
from beatsight_core.dataset.index import dataset_key
from beatsight_core.dataset.reader import open_dataset, shard_audio
from beatsight_core.dataset.verify_export import check_dataset
from beatsight_core.errors import DatasetError, DeviceError
from beatsight_core.features.build import _require_length, build_features
from beatsight_core.features.cache import label_matrix, open_features
from beatsight_core.settings import load_settings
from beatsight_core.taxonomy import CORE


def files(settings):
    return sorted(settings.cache_dir.rglob("*.safetensors"))


def with_mel(settings, **changes):
    return dataclasses.replace(settings, features=dataclasses.replace(settings.features, **changes))


@pytest.mark.parametrize(("storage", "off_db"), [("float16", 0.04), ("uint8", 0.16)])
def test_every_hit_gets_the_features_of_its_clip(exported, storage, off_db):
    settings, key = exported
    settings = with_mel(settings, storage=storage)
    result = build_features(settings, key, device="cpu")
    dataset = open_dataset(settings, key)
    assert len(dataset.shards) > 1
    assert (result.clips, result.coverage, result.shards_written) == (36, 1.0, len(dataset.shards))
    assert result.bytes == sum(path.stat().st_size for path in files(settings))
    features = open_features(settings, key, verify=True)
    assert (len(features), features.dataset_digest) == (36, dataset.digest)
    assert [len(array) for array in features.arrays] == [shard.rows for shard in dataset.shards]
    import torch

    from beatsight_core.features.logmel import LogMel

    clips = np.concatenate([shard_audio(shard) for shard in dataset.shards])
    expected = LogMel(features.spec)(torch.from_numpy(clips / np.float32(32768)))
    got = features.read(np.arange(36))
    assert got.dtype == storage
    assert features.spec.to_decibels(got) == pytest.approx(expected.numpy(), abs=off_db)


def test_rows_labels_and_classes_belong_together(exported):
    settings, key = exported
    build_features(settings, key, device="cpu")
    features = open_features(settings, key)
    assert features.classes == CORE.components
    for row, labels in enumerate(features.meta["labels"].to_list()):
        assert [features.classes[column] for column in np.flatnonzero(features.targets[row])] == labels
    assert sorted(np.concatenate([features.rows_of(name) for name in ("train", "val", "calibration")])) == list(
        range(36)
    )
    assert features.rows_of("all").tolist() == list(range(36))
    shuffled = np.random.default_rng(0).permutation(36)
    assert np.array_equal(features.read(shuffled), features.read(np.arange(36))[shuffled])


def test_what_is_there_is_not_made_again(exported):
    settings, key = exported
    first = build_features(settings, key, device="cpu")
    before = {path: path.stat().st_mtime_ns for path in files(settings)}
    again = build_features(settings, settings.manifests_dir / "made.jsonl", device="cpu")
    assert (again.shards_written, again.shards_reused, again.bytes) == (0, first.shards_written, first.bytes)
    assert {path: path.stat().st_mtime_ns for path in files(settings)} == before


def test_broken_files_are_found_on_open_and_made_again(exported):
    settings, key = exported
    build_features(settings, key, device="cpu")
    whole = {path: path.read_bytes() for path in files(settings)}
    victim = files(settings)[1]
    victim.write_bytes(whole[victim][:-1])
    with pytest.raises(DatasetError, match="broken"):
        open_features(settings, key)
    assert build_features(settings, key, device="cpu").shards_written == 1
    assert {path: path.read_bytes() for path in files(settings)} == whole


def test_a_flipped_byte_is_found_by_verifying(exported):
    settings, key = exported
    build_features(settings, key, device="cpu")
    victim = files(settings)[0]
    broken = bytearray(victim.read_bytes())
    broken[-1000] ^= 4
    victim.write_bytes(broken)
    with pytest.raises(DatasetError, match="digest differs"):
        open_features(settings, key, verify=True)


def test_defect_6_changed_mel_settings_never_meet_old_features(exported):
    settings, key = exported
    build_features(settings, key, device="cpu")
    changed = with_mel(settings, f_max_hz=3000.0)
    with pytest.raises(DatasetError, match=r"cover 0\.0%"):
        open_features(changed, key)
    result = build_features(changed, key, device="cpu")
    assert result.shards_written > 0
    assert result.folder != settings.cache_dir / open_features(settings, key).spec.digest
    old, new = open_features(settings, key), open_features(changed, key)
    assert not np.array_equal(old.read(np.arange(36)), new.read(np.arange(36)))


def test_defect_9_a_cache_that_covers_most_is_an_error(exported):
    settings, key = exported
    build_features(settings, key, device="cpu")
    lost = files(settings)[0]
    lost.unlink()
    with pytest.raises(DatasetError) as caught:
        open_features(settings, key)
    rows = next(shard.rows for shard in open_dataset(settings, key).shards if shard.digest in lost.name)
    assert f"cover {1 - rows / 36:.1%}" in str(caught.value)
    assert f"({rows} of 36 hits)" in str(caught.value)
    assert f"beatsight features {key}" in str(caught.value)
    assert not lost.exists()


def test_changed_clips_are_an_error(exported):
    settings, key = exported
    build_features(settings, key, device="cpu")
    longer = dataclasses.replace(settings, dataset=dataclasses.replace(settings.dataset, tail_ms=80.0))
    with pytest.raises(DatasetError, match="other settings"):
        build_features(longer, key, device="cpu")


def test_features_are_never_made_from_a_damaged_shard(exported):
    settings, key = exported
    victim = open_dataset(settings, key).shards[1]
    whole = victim.path.read_bytes()
    place = whole.index(b"RIFF") + 1000  # a sample of its first clip
    victim.path.write_bytes(whole[:place] + bytes([whole[place] ^ 64]) + whole[place + 1 :])
    with pytest.raises(DatasetError, match="missing or broken") as caught:
        build_features(settings, key, device="cpu")
    assert f"beatsight export {key} --heal" in str(caught.value)
    assert not any(victim.digest in path.name for path in files(settings))
    assert check_dataset(settings, key, heal=True).passed
    build_features(settings, key, device="cpu")
    assert open_features(settings, key, verify=True).targets.shape == (36, 18)


def test_a_lost_shard_is_an_error_too(exported):
    settings, key = exported
    open_dataset(settings, key).shards[0].path.unlink()
    with pytest.raises(DatasetError, match="there is no such file"):
        build_features(settings, key, device="cpu")


def test_clips_of_several_lengths_are_an_error_that_names_the_setting(tmp_path, tiny_spec):
    _require_length(pl.Series("frames", [640, 640], dtype=pl.Int32), tiny_spec, tmp_path)
    with pytest.raises(DatasetError, match=r"2 of 3 clips of a shard are 900 samples long, not 640") as caught:
        _require_length(pl.Series("frames", [640, 900, 320], dtype=pl.Int32), tiny_spec, tmp_path)
    assert "dataset.fixed_length = true" in str(caught.value)


def test_a_dataset_whose_events_bring_their_own_lengths_has_no_features(corpus):
    file, manifest = corpus / "beatsight.toml", corpus / "manifests" / "made.jsonl"
    file.write_text(file.read_text().replace("[dataset]", "[dataset]\nfixed_length = false"))
    events = [json.loads(line) for line in manifest.read_text().splitlines()]
    events[5]["context_ms"] = {"pre": 10.0, "post": 30.0}
    manifest.write_text("".join(json.dumps(event) + "\n" for event in events))
    settings = load_settings(corpus, {})
    export_dataset(settings, "made")
    with pytest.raises(DatasetError, match=r"1 of .* clips of a shard are 320 samples long, not 640") as caught:
        build_features(settings, "made", device="cpu")
    assert "dataset.fixed_length = true" in str(caught.value)


@pytest.mark.parametrize("storage", ["float16", "uint8"])
def test_a_file_says_how_its_numbers_become_decibels(exported, storage):
    settings, key = exported
    changed = with_mel(settings, storage=storage)
    build_features(changed, key, device="cpu")
    features = open_features(changed, key)
    with safe_open(files(changed)[0], "numpy") as file:
        decoding = json.loads(file.metadata()["decibels"])
        stored = file.get_tensor("features")
    decibels = stored.astype(np.float32) * decoding["scale"] + decoding["offset"]
    assert (stored.dtype, decibels.max()) == (storage, 0.0)
    assert decibels == pytest.approx(features.spec.to_decibels(stored), abs=1e-4)


def test_without_an_export_there_is_nothing_to_build(corpus):
    with pytest.raises(DatasetError, match="no dataset"):
        build_features(load_settings(corpus, {}), "made", device="cpu")


def test_a_missing_device_is_an_error_before_anything_is_written(exported):
    settings, key = exported
    with pytest.raises(DeviceError):
        build_features(settings, key, device="cuda:99")
    assert files(settings) == []


def test_a_key_and_a_path_mean_the_same(exported):
    settings, key = exported
    assert dataset_key(settings, key) == dataset_key(settings, settings.manifests_dir / "made.jsonl") == key


def test_a_label_of_another_taxonomy_is_an_error():
    with pytest.raises(DatasetError, match="cowbell"):
        label_matrix(pl.Series([["kick"], ["cowbell"]]), CORE)
    assert label_matrix(pl.Series([["snare", "kick"], []], dtype=pl.List(pl.String)), CORE).sum(axis=1).tolist() == [
        2,
        0,
    ]
