import dataclasses
import os
import shutil

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
import soundfile as sf

from beatsight_core.dataset.export import export_dataset
from beatsight_core.dataset.index import index_path, read_index
from beatsight_core.dataset.reader import open_dataset, shard_audio
from beatsight_core.dataset.shards.shard_schema import ROW_GROUP, SHARD_SCHEMA
from beatsight_core.errors import InputError, StorageError
from beatsight_core.leftovers import host_mark
from beatsight_core.settings import SourceSet

PRE, FRAMES = 3528, 12348


def clips_of(corpus, key) -> dict[tuple[str, float], np.ndarray]:
    dataset = open_dataset(corpus.settings, key)
    rows = dataset.metadata().select("audio_path", "onset_time").rows()
    samples = np.concatenate([shard_audio(shard) for shard in dataset.shards])
    return dict(zip(rows, samples, strict=True))


def naive(samples: np.ndarray, onset: float) -> np.ndarray:
    """The clip of a mono 16-bit file by the plainest way there is."""
    clip = np.zeros(FRAMES, np.int16)
    start = int(np.floor(onset * 44100 + 0.5)) - PRE
    for i in range(FRAMES):
        if 0 <= start + i < len(samples):
            clip[i] = samples[start + i]
    return clip


def test_each_clip_is_the_window_around_its_onset(corpus):
    onsets = [0.0, 0.05, 0.3, 0.9, 0.999]
    corpus.add_file("a.flac", onsets)
    corpus.add_file("b.wav", onsets, channels=2)
    clips = clips_of(corpus, corpus.export().key)
    assert len(clips) == 10
    for name in ("a.flac", "b.wav"):
        stored, _ = sf.read(corpus.path(name), dtype="int16", always_2d=True)
        mono = np.rint(stored.astype(np.float64).mean(axis=1)).astype(np.int16)
        for onset in onsets:
            np.testing.assert_array_equal(clips[name, onset], naive(mono, onset))


def test_24_bit_stereo_at_48_khz_becomes_mono_at_the_datasets_rate_with_its_onset_in_place(corpus):
    samples = np.zeros((48000, 2))
    samples[24000] = (0.8, 0.4)
    corpus.path("c.wav").parent.mkdir(parents=True)
    sf.write(corpus.path("c.wav"), samples, 48000, subtype="PCM_24")
    corpus.add_event("c.wav", 0.5)
    (clip,) = clips_of(corpus, corpus.export().key).values()
    assert len(clip) == FRAMES
    assert np.argmax(np.abs(clip)) == PRE
    assert clip[PRE] / 32768 == pytest.approx(0.6 * 44100 / 48000, abs=0.06)


def test_defect_1_components_struck_together_are_one_clip_with_all_labels(corpus):
    corpus.add_file("a.wav", [])
    corpus.add_event("a.wav", 0.500, ("hihat_closed",))
    corpus.add_event("a.wav", 0.504, ("kick",))
    dataset = open_dataset(corpus.settings, corpus.export().key)
    assert dataset.metadata()["labels"].to_list() == [["kick", "hihat_closed"]]


def test_defect_2_a_hit_at_zero_holds_the_start_of_its_own_file(corpus):
    for name in ("a.wav", "b.wav"):
        corpus.add_file(name, [0.7, 0.0])
    clips = clips_of(corpus, corpus.export().key)
    for name in ("a.wav", "b.wav"):
        stored, _ = sf.read(corpus.path(name), dtype="int16")
        np.testing.assert_array_equal(clips[name, 0.0][PRE:], stored[: FRAMES - PRE])


def test_defect_3_clips_near_start_and_end_are_as_long_and_as_aligned_as_any(corpus):
    corpus.add_file("a.wav", [0.01, 0.5, 0.99])
    clips = clips_of(corpus, corpus.export().key)
    stored, _ = sf.read(corpus.path("a.wav"), dtype="int16")
    for (_, onset), clip in clips.items():
        assert len(clip) == FRAMES
        assert clip[PRE] == stored[round(onset * 44100)]


def test_defect_5_a_second_run_counts_nothing_twice_and_each_loss_has_its_own_count(corpus):
    corpus.add_file("ok.wav", [0.2, 0.5, 1.0, 7.0])
    corpus.add_file("cut.flac", [0.2, 3.9], seconds=4.0)
    cut = corpus.path("cut.flac")
    cut.write_bytes(cut.read_bytes()[:-5000])
    corpus.add_file("text.wav", [0.1, 0.3, 0.5])
    corpus.path("text.wav").write_text("no audio")
    corpus.add_event("gone.wav", 0.5)
    first = corpus.export().to_json()
    assert first["rejects_by_reason"] == {
        "missing_audio": 1,
        "past_end": 2,
        "silent_audio": 0,
        "opposite_polarity": 0,
        "truncated_audio": 1,
        "unreadable_audio": 3,
    }
    assert (first["hits"], first["rejected"]) == (3, 7)
    second = corpus.export().to_json()
    assert second["shards_written"] == 0
    changing = {"shards_written", "shards_reused", "seconds"}
    assert {k: v for k, v in second.items() if k not in changing} == {
        k: v for k, v in first.items() if k not in changing
    }
    index = read_index(index_path(corpus.settings, first["key"], "kits"))
    assert [(entry.audio_path, entry.reason, entry.hits) for entry in index.rejected_files] == [
        ("cut.flac", "truncated_audio", 1),
        ("gone.wav", "missing_audio", 1),
        ("ok.wav", "past_end", 2),
        ("text.wav", "unreadable_audio", 3),
    ]


def test_what_is_there_but_is_no_file_counts_as_unreadable_and_says_why(corpus):
    corpus.add_file("ok.wav", [0.2])
    corpus.path("folder.wav").mkdir()
    corpus.add_event("folder.wav", 0.5)
    result = corpus.export().to_json()
    assert (result["rejects_by_reason"]["unreadable_audio"], result["rejects_by_reason"]["missing_audio"]) == (1, 0)
    (entry,) = read_index(index_path(corpus.settings, result["key"], "kits")).rejected_files
    assert (entry.audio_path, entry.reason, entry.message) == (
        "folder.wav", "unreadable_audio", "not a regular file",
    )  # fmt: skip


def test_defect_7_few_whole_files_and_no_leftovers(several):
    result = several.export()
    names = several.shard_files()
    assert len(names) == result.shards_written <= 12
    assert all(name.endswith(".parquet") for name in names)
    assert sum(entry.rows for index in result.indexes for entry in index.shards) == 36


def test_a_shard_is_plain_parquet_with_an_audio_column(several):
    result = several.export()
    path = next(several.settings.shards_dir.rglob("*.parquet"))
    table = pq.read_table(path)
    assert table.schema.equals(SHARD_SCHEMA)
    assert b"huggingface" in table.schema.metadata
    audio = table["audio"][0].as_py()
    assert set(audio) == {"bytes", "path"}
    assert audio["path"] == f"{table['hit_id'][0]}.wav"
    assert audio["bytes"][:4] == b"RIFF"
    frame = pl.read_parquet(path)
    assert frame.columns == SHARD_SCHEMA.names
    assert frame["audio"].struct.field("bytes")[0] == audio["bytes"]
    assert frame["sample_rate"].unique().to_list() == [44100]
    assert frame["frames"].unique().to_list() == [FRAMES]
    assert result.indexes[0].settings["frames"] == FRAMES


def test_levels_and_gaps_are_measured(corpus):
    corpus.add_file("a.wav", [0.2, 0.5])
    corpus.path("silent.wav").parent.mkdir(exist_ok=True)
    sf.write(corpus.path("silent.wav"), np.zeros(44100, np.int16), 44100)
    corpus.add_event("silent.wav", 0.5, negative_example=True)  # a hit without labels may be silent
    frame = open_dataset(corpus.settings, corpus.export().key).metadata()
    loud, other, silent = frame.select("peak", "rms", "previous_gap", "next_gap").rows()
    assert loud[0] == pytest.approx(20 * np.log10(0.5), abs=0.05)
    assert loud[2] is None
    assert loud[3] == other[2] == pytest.approx(0.3)
    assert silent == (-120.0, -120.0, None, None)


def test_row_groups_run_across_files(corpus):
    large = dataclasses.replace(corpus.settings.dataset, unit_hits=4096)
    settings = dataclasses.replace(corpus.settings, dataset=large)
    for number in range(8):
        corpus.add_file(f"{number}.wav", [0.04 * k for k in range(20)])
    corpus.export(settings=settings)
    sizes = []
    for path in corpus.settings.shards_dir.rglob("*.parquet"):
        metadata = pq.read_metadata(path)
        groups = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        assert groups[:-1] == [ROW_GROUP] * (len(groups) - 1)
        sizes += groups
    assert sum(sizes) == 160


@pytest.mark.parametrize("encoding", ["wav", "flac"])
def test_flac_holds_the_same_samples_as_wav(several, encoding):
    settings = dataclasses.replace(
        several.settings, dataset=dataclasses.replace(several.settings.dataset, encoding=encoding)
    )
    several.settings = settings
    clips = clips_of(several, several.export().key)
    stored, _ = sf.read(several.path("take03.wav"), dtype="int16")
    np.testing.assert_array_equal(clips["take03.wav", 0.4], naive(stored, 0.4))


def test_any_number_of_workers_makes_the_same_bytes(several):
    results, files = [], []
    for workers in (1, 2, 4):
        shutil.rmtree(several.settings.dataset_dir, ignore_errors=True)
        shutil.rmtree(several.settings.catalog_dir / "audio", ignore_errors=True)
        results.append(several.export(workers=workers).to_json())
        files.append(several.shard_files())
    assert files[0] == files[1] == files[2]
    assert len({result["dataset_digest"] for result in results}) == 1
    assert results[0]["hits"] == 36


def test_an_unchanged_export_reads_no_audio(several):
    first = several.export()
    for path in several.path("").glob("*.wav"):  # other bytes behind the same size and time go unseen
        state = path.stat()
        path.write_bytes(bytes(state.st_size))
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    second = several.export()
    assert (second.shards_written, second.shards_reused) == (0, first.shards_written)
    assert second.to_json()["dataset_digest"] == first.to_json()["dataset_digest"]


def test_a_touched_file_is_read_but_written_only_if_it_changed(several):
    first = several.export()
    os.utime(several.path("take05.wav"), ns=(1, 1))
    assert several.export().shards_written == 0
    samples, _ = sf.read(several.path("take05.wav"), dtype="int16")
    sf.write(several.path("take05.wav"), samples // 2, 44100)
    assert several.export().shards_written == 1
    assert len(several.shard_files()) == first.shards_written + 1


def test_one_changed_event_rebuilds_exactly_one_shard(several):
    first = several.export()
    several.events[10]["onset_time"] += 0.01
    second = several.export()
    assert second.key != first.key
    assert (second.shards_written, second.shards_reused) == (1, first.shards_written - 1)


def test_a_changed_setting_rebuilds_all_and_setting_it_back_finds_all(several):
    first = several.export()
    settings = dataclasses.replace(
        several.settings, dataset=dataclasses.replace(several.settings.dataset, tail_ms=100.0)
    )
    changed = several.export(settings=settings)
    assert changed.shards_reused == 0
    back = several.export()
    assert (back.shards_written, back.shards_reused) == (0, first.shards_written)


def test_a_file_that_comes_back_rebuilds_only_its_unit(several):
    away = several.path("take04.wav").rename(several.settings.data_root / "away.wav")
    first = several.export()
    assert first.to_json()["rejects_by_reason"]["missing_audio"] == 3
    away.rename(several.path("take04.wav"))
    second = several.export()
    assert second.to_json()["rejects_by_reason"]["missing_audio"] == 0
    assert second.shards_written == 1


def test_overwrite_writes_everything_again_with_the_same_bytes(several):
    first = several.export()
    before = several.shard_files()
    again = several.export(overwrite=True)
    assert (again.shards_written, again.shards_reused) == (first.shards_written, 0)
    assert several.shard_files() == before


def test_a_torn_shard_is_written_again(several):
    first = several.export()
    path = next(several.settings.shards_dir.rglob("*.parquet"))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert several.export().shards_written == 1
    assert path.read_bytes() == whole
    assert first.shards_written == len(several.shard_files())


def test_source_sets_are_exported_apart_and_keep_each_other(corpus):
    corpus.add_file("a.wav", [0.2], source_set="one")
    corpus.add_file("b.wav", [0.2, 0.6], source_set="two")
    key = corpus.export(source_sets=["one"]).key
    assert open_dataset(corpus.settings, key).source_sets == ("one",)
    both = corpus.export(source_sets=["two"])
    dataset = open_dataset(corpus.settings, key)
    assert dataset.source_sets == ("one", "two")
    assert len(dataset) == 3
    assert dataset.digest == corpus.export().to_json()["dataset_digest"]
    assert both.to_json()["clips_by_source"] == {"two": 2}
    with pytest.raises(InputError, match="no events of three"):
        corpus.export(source_sets=["three"])


def test_a_source_set_without_roots_is_one_error_that_names_them(corpus, tmp_path):
    corpus.add_file("a.wav", [0.2])
    for number in range(20):
        corpus.add_event(f"{number}.wav", 0.1, source_set="away")
    sources = {"away": SourceSet("away", roots=(tmp_path / "drive_d", tmp_path / "drive_e"))}
    corpus.settings = dataclasses.replace(corpus.settings, sources=sources)
    with pytest.raises(InputError, match=r"No root of away is there.*drive_d.*drive_e") as error:
        corpus.export()
    assert error.value.exit_code == 3
    assert not corpus.settings.dataset_dir.exists()
    assert corpus.export(source_sets=["kits"]).to_json()["hits"] == 1


def test_too_little_room_is_said_before_a_byte_is_written(corpus):
    corpus.add_file("a.wav", [0.2])
    petabytes = dataclasses.replace(corpus.settings.dataset, tail_ms=1e15)
    with pytest.raises(StorageError, match="not enough room") as error:
        corpus.export(settings=dataclasses.replace(corpus.settings, dataset=petabytes))
    assert error.value.exit_code == 4
    assert not corpus.settings.dataset_dir.exists()


def test_leftovers_of_a_killed_writer_are_cleared(several):
    several.export()
    folder = next(several.settings.shards_dir.iterdir())
    (folder / f"x.parquet.tmp-{host_mark()}-999999999-00000abc").write_text("torn")
    several.export()
    assert not list(several.settings.shards_dir.rglob("*tmp*"))


def test_a_limit_makes_a_dataset_of_its_own(several):
    whole = several.export()
    part = several.export(limit=5)
    assert part.key != whole.key
    assert part.to_json()["hits"] == 5
    assert len(open_dataset(several.settings, whole.key)) == 36


def test_line_order_changes_no_shard(several):
    first = several.export()
    several.events.reverse()
    second = several.export()
    assert (second.shards_written, second.shards_reused) == (0, first.shards_written)


def test_an_index_goes_when_its_source_set_goes(corpus):
    corpus.add_file("a.wav", [0.2])
    result = corpus.export()
    stale = index_path(corpus.settings, result.key, "old")
    stale.write_text("{}")
    corpus.export()
    assert not stale.exists()


def test_progress_hears_of_every_hit(several):
    from beatsight_core.progress import SilentProgress

    heard = {}
    several.export(progress=SilentProgress(lambda name, numbers: heard.update({name: numbers})))
    assert heard["export"]["done"] == heard["export"]["total"] == 36


def test_an_unknown_manifest_is_an_input_error(small):
    with pytest.raises(InputError):
        export_dataset(small, "nowhere")
