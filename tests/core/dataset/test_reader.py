import dataclasses
import io

import numpy as np
import polars as pl
import pytest
import soundfile as sf

from beatsight_core.dataset import export
from beatsight_core.dataset.index import index_path
from beatsight_core.dataset.reader import open_dataset, shard_audio, shard_parts
from beatsight_core.dataset.shards.shard_schema import METADATA_COLUMNS, ROW_GROUP, SHARD_SCHEMA
from beatsight_core.errors import DatasetError


def test_rows_and_audio_come_in_the_same_order(several):
    result = several.export()
    dataset = open_dataset(several.settings, result.key)
    frame = dataset.metadata()
    assert frame.columns == list(METADATA_COLUMNS)
    assert len(frame) == len(dataset) == 36
    assert frame.select("audio_path", "onset_time").rows() == sorted(frame.select("audio_path", "onset_time").rows())
    samples = np.concatenate([shard_audio(shard) for shard in dataset.shards])
    whole = pl.concat([pl.read_parquet(shard.path) for shard in dataset.shards])
    for clip, audio in zip(samples, whole["audio"], strict=True):
        np.testing.assert_array_equal(clip, sf.read(io.BytesIO(audio["bytes"]), dtype="int16")[0])


@pytest.mark.parametrize("encoding", ["wav", "flac"])
def test_samples_are_16_bit_in_rows_of_equal_length(several, encoding):
    several.settings = dataclasses.replace(
        several.settings, dataset=dataclasses.replace(several.settings.dataset, encoding=encoding)
    )
    dataset = open_dataset(several.settings, several.export().key)
    for shard in dataset.shards:
        clips = shard_audio(shard)
        assert clips.dtype == np.int16
        assert clips.shape == (shard.rows, 12348)


@pytest.mark.parametrize("rows", [1, ROW_GROUP, ROW_GROUP + 1, 1000])
def test_a_large_shard_comes_in_parts(corpus, rows):
    corpus.add_file("long.wav", [0.1 + 0.05 * place for place in range(300)], seconds=20.0)
    (shard,) = open_dataset(corpus.settings, corpus.export().key).shards
    parts = list(shard_parts(shard, rows))
    assert max(map(len, parts)) <= -(-rows // ROW_GROUP) * ROW_GROUP
    np.testing.assert_array_equal(np.concatenate(parts), shard_audio(shard))


def test_what_was_counted_is_there(several):
    several.add_event("gone.wav", 0.1)
    dataset = open_dataset(several.settings, several.export().key)
    assert dataset.counts["kits"].clips == 36
    assert dataset.counts["kits"].hits == 37
    assert dataset.rejected["kits"]["missing_audio"] == 1
    splits = dataset.metadata()["split"].value_counts()
    assert dict(splits.iter_rows()) == dataset.counts["kits"].by_split


def test_a_dataset_without_a_clip_opens(corpus, monkeypatch):
    monkeypatch.setattr(export, "require_clips", lambda *_: None)  # as earlier versions left it
    corpus.add_file("a.wav", [5.0])
    dataset = open_dataset(corpus.settings, corpus.export().key)
    assert len(dataset) == 0
    assert dataset.shards == ()
    assert dataset.metadata().columns == list(METADATA_COLUMNS)
    filled = pl.DataFrame(SHARD_SCHEMA.empty_table()).drop("audio")
    assert dataset.metadata().schema == filled.schema


def test_what_was_not_exported_does_not_open(several):
    with pytest.raises(DatasetError, match="no dataset of nothing"):
        open_dataset(several.settings, "nothing")
    key = several.export().key
    with pytest.raises(DatasetError):
        open_dataset(several.settings, key, ["other"])


def test_clips_of_other_settings_do_not_pass_for_these(several):
    key = several.export().key
    changed = dataclasses.replace(several.settings.dataset, sample_rate_hz=22050)
    with pytest.raises(DatasetError, match="exported under other settings") as error:
        open_dataset(dataclasses.replace(several.settings, dataset=changed), key)
    assert "sample_rate" in str(error.value)


@pytest.mark.parametrize("damage", [b"", b"{}", b"[]", b"not json"])
def test_a_damaged_index_is_a_dataset_error(several, damage):
    key = several.export().key
    index_path(several.settings, key, "kits").write_bytes(damage)
    with pytest.raises(DatasetError):
        open_dataset(several.settings, key)


def test_every_changed_number_of_an_index_is_noticed(several):
    key = several.export().key
    path = index_path(several.settings, key, "kits")
    text = path.read_text()
    places = [place for place, character in enumerate(text) if character.isdigit()]
    for place in places[::29]:
        other = "7" if text[place] != "7" else "3"
        path.write_text(text[:place] + other + text[place + 1 :])
        with pytest.raises(DatasetError):
            open_dataset(several.settings, key)
    path.write_text(text)
    assert len(open_dataset(several.settings, key)) == 36


def test_a_missing_or_torn_shard_is_a_dataset_error(several):
    dataset = open_dataset(several.settings, several.export().key)
    first, second = dataset.shards[:2]
    first.path.write_bytes(first.path.read_bytes()[:1000])
    second.path.unlink()
    for shard in (first, second):
        with pytest.raises(DatasetError, match="missing or broken"):
            shard_audio(shard)
    with pytest.raises(DatasetError, match="missing or broken"):
        dataset.metadata()
