"""Clips as long as their events ask: `dataset.fixed_length = false`."""

import dataclasses
import io

import numpy as np
import polars as pl
import pytest
import soundfile as sf

from beatsight_core.dataset.reader import open_dataset, shard_audio
from beatsight_core.dataset.shards.contexts import MAX_CONTEXT_MS
from beatsight_core.dataset.verify_export import verify_manifest
from beatsight_core.errors import DatasetError

RATE = 44100


@pytest.fixture
def varied(corpus):
    """Hits that ask for nothing, for one side, for both, for too much, for nonsense, and two events of one hit."""
    corpus.settings = dataclasses.replace(
        corpus.settings, dataset=dataclasses.replace(corpus.settings.dataset, fixed_length=False)
    )
    corpus.samples = corpus.add_file("a.wav", [0.05], seconds=2.0)[:, 0]
    corpus.add_event("a.wav", 0.3, context_ms={"pre": 10})
    corpus.add_event("a.wav", 0.5, context_ms={"pre": 100, "post": 300})
    corpus.add_event("a.wav", 0.7, context_ms={"pre": 1e12, "post": 50})
    corpus.add_event("a.wav", 0.9, context_ms={"pre": -5, "post": 0})
    corpus.add_event("a.wav", 1.2, context_ms={"pre": 20, "post": 30})
    corpus.add_event("a.wav", 1.205, context_ms={"pre": 10, "post": 60})
    return corpus


ASKED_MS = {
    0.05: (80, 200), 0.3: (10, 200), 0.5: (100, 300), 0.7: (MAX_CONTEXT_MS, 50), 0.9: (0, None), 1.2: (20, 60),
}  # fmt: skip


def rows_of(corpus) -> pl.DataFrame:
    (path,) = corpus.settings.shards_dir.rglob("*.parquet")
    return pl.read_parquet(path).sort("onset_time")


@pytest.mark.parametrize("encoding", ["wav", "flac"])
def test_each_clip_is_what_its_events_ask_for(varied, encoding):
    varied.settings = dataclasses.replace(
        varied.settings, dataset=dataclasses.replace(varied.settings.dataset, encoding=encoding, unit_hits=64)
    )
    varied.export()
    stored, _ = sf.read(varied.path("a.wav"), dtype="int16")
    for row in rows_of(varied).iter_rows(named=True):
        pre_ms, tail_ms = ASKED_MS[row["onset_time"]]
        pre = round(pre_ms * RATE / 1000)
        tail = 1 if tail_ms is None else round(tail_ms * RATE / 1000)
        clip, rate = sf.read(io.BytesIO(row["audio"]["bytes"]), dtype="int16")
        assert (rate, row["onset_frame"], row["frames"], len(clip)) == (RATE, pre, pre + tail, pre + tail)
        start = round(row["onset_time"] * RATE) - pre
        padded = np.concatenate([np.zeros(max(-start, 0), np.int16), stored, np.zeros(RATE, np.int16)])
        np.testing.assert_array_equal(clip, padded[max(start, 0) :][: pre + tail])
        assert row["peak"] == pytest.approx(20 * np.log10(np.abs(clip / 32768).max()), abs=1e-2)


def test_seconds_and_estimates_are_those_of_the_clips(varied):
    manifest = varied.write()
    verified = verify_manifest(varied.settings, manifest).to_json()
    exported = varied.export().to_json()
    seconds = rows_of(varied)["frames"].sum() / RATE
    assert sum(exported["seconds_by_split"].values()) == pytest.approx(seconds, abs=0.01)
    assert sum(verified["seconds_by_source"]["kits"].values()) == pytest.approx(seconds, abs=0.01)
    assert exported["bytes"] <= verified["estimated_bytes"] < 3 * exported["bytes"]


def test_only_a_changed_context_changes_a_shard_and_only_where_lengths_differ(varied):
    varied.add_file("b.wav", [0.1 * k for k in range(1, 9)])
    first = varied.export()
    varied.events[2]["context_ms"] = {"pre": 100, "post": 310}
    assert (varied.export().shards_written, first.shards_written) == (1, 2)
    fixed = dataclasses.replace(
        varied.settings, dataset=dataclasses.replace(varied.settings.dataset, fixed_length=True)
    )
    varied.export(settings=fixed)
    varied.events[2]["context_ms"] = {"pre": 100, "post": 320}
    assert varied.export(settings=fixed).shards_written == 0


def test_any_number_of_workers_makes_the_same_bytes(varied):
    varied.add_file("b.wav", [0.1 * k for k in range(1, 9)])
    first, before = varied.export(workers=1), varied.shard_files()
    again = varied.export(workers=2, overwrite=True)
    assert again.shards_written == first.shards_written == 2
    assert varied.shard_files() == before


def test_who_needs_one_length_is_told_which_setting_to_change(varied):
    dataset = open_dataset(varied.settings, varied.export().key)
    assert dataset.metadata()["frames"].n_unique() > 1
    with pytest.raises(DatasetError, match=r"differ in length.*fixed_length = true"):
        shard_audio(dataset.shards[0])


def test_an_empty_catalogs_worth_of_contexts_is_the_default(corpus):
    corpus.add_file("a.wav", [0.2, 0.6])
    settings = dataclasses.replace(
        corpus.settings, dataset=dataclasses.replace(corpus.settings.dataset, fixed_length=False)
    )
    result = corpus.export(settings=settings)
    assert rows_of(corpus)["frames"].to_list() == [12348, 12348]
    assert result.indexes[0].settings["frames"] is None
