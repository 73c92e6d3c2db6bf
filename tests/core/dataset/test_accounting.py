"""Nothing vanishes: events of the manifest = events in clips + events of every loss, for each source set."""

import dataclasses
import logging

import numpy as np
import pytest
import soundfile as sf

from beatsight_core.audio.decoding import excerpts
from beatsight_core.audio.inventory import open_inventory
from beatsight_core.dataset import space
from beatsight_core.dataset.index import read_index
from beatsight_core.dataset.processes import available_memory, process_count
from beatsight_core.errors import StorageError
from beatsight_core.manifest.read_manifest import open_catalog
from beatsight_core.progress import Progress, SilentProgress
from beatsight_core.workers import worker_count


@pytest.fixture
def broken(corpus):
    """Two source sets with every kind of loss; several events a hit."""
    for source_set in ("kits", "more"):
        corpus.add_file("ok.wav", [0.1, 0.11, 0.5, 0.98, 1.5, 1.505], source_set=source_set)
        corpus.add_file("cut.flac", [0.2, 0.21, 3.9], seconds=4.0, source_set=source_set)
        cut = corpus.path("cut.flac", source_set)
        cut.write_bytes(cut.read_bytes()[:-5000])
    corpus.add_file("nan.wav", [0.1, 0.3], subtype="FLOAT")
    samples = np.zeros(44100, np.float32)
    samples[7] = np.nan
    sf.write(corpus.path("nan.wav"), samples, 44100, subtype="FLOAT")
    corpus.add_file("text.wav", [0.1, 0.12, 0.5])
    corpus.path("text.wav").write_text("no audio")
    for onset in (0.5, 0.51, 0.9):
        corpus.add_event("gone.wav", onset)
    corpus.add_file("mute.wav", [0.1, 0.3, 0.6])
    sf.write(corpus.path("mute.wav"), np.concatenate([np.zeros(33075), np.full(11025, 0.5)]), 44100)
    corpus.add_file("opposed.wav", [0.1, 0.3])
    one = np.random.default_rng(0).uniform(-0.5, 0.5, 44100)
    sf.write(corpus.path("opposed.wav"), np.stack([one, -one], 1), 44100)
    corpus.path("folder.wav").mkdir()
    corpus.add_event("folder.wav", 0.1)
    return corpus


def test_every_event_is_in_a_clip_or_has_a_reason(broken):
    result = broken.export()
    said = result.to_json()
    summary = open_catalog(broken.settings, result.key).summary
    assert said["events"] == summary.kept == len(broken.events)
    assert said["hits"] + said["rejected"] == summary.hits
    lost = 0
    for path in result.index_paths:
        index = read_index(path)
        events = sum(file.events for file in index.rejected_files)
        assert index.counts.events == index.counts.events_in_clips + events
        assert index.counts.hits == index.counts.clips + sum(index.rejected.values())
        assert all(file.message or file.reason == "missing_audio" for file in index.rejected_files)
        lost += events
    assert said["events"] == said["events_in_clips"] + lost
    assert said["rejects_by_reason"] == {
        "missing_audio": 2, "opposite_polarity": 2, "past_end": 2, "silent_audio": 2, "truncated_audio": 2,
        "unreadable_audio": 5,
    }  # fmt: skip
    again = broken.export()
    assert again.indexes == result.indexes


def test_the_live_view_counts_the_same(broken):
    heard = {}
    said = broken.export(progress=SilentProgress(lambda name, numbers: heard.update({name: numbers}))).to_json()
    numbers = heard["export"]
    assert numbers["done"] == numbers["total"] == said["hits"] + said["rejected"]
    assert (numbers["events"], numbers["clips"]) == (said["events_in_clips"], said["hits"])
    assert numbers["shards written"] == said["shards_written"]
    for reason, hits in said["rejects_by_reason"].items():
        assert numbers[reason] == hits
        assert sum(numbers.get(f"{name}: {reason}", 0) for name in ("kits", "more")) == hits
    for split, seconds in said["seconds_by_split"].items():
        parts = sum(numbers.get(f"{name}: {split} s", 0) for name in ("kits", "more"))
        assert parts == pytest.approx(seconds, abs=1e-3)


def test_log_lines_tell_of_each_source_set(broken, caplog):
    with caplog.at_level(logging.INFO, "beatsight"):
        broken.export(progress=Progress())
    lines = [line for line in caplog.messages if line.startswith("export")]
    assert "MB/s" in lines[0]
    assert any(line.startswith("export, kits: events ") for line in lines)
    assert any(line.startswith("export, more: events ") and "truncated_audio 1" in line for line in lines)


def test_a_long_file_that_is_hardly_used_gives_the_same_shard_in_parts(corpus, monkeypatch):
    for name in ("long.flac", "long.wav"):
        corpus.add_file(name, [0.0, 0.05, 7.3, 29.9, 35.0], seconds=30.0)
    corpus.settings = dataclasses.replace(
        corpus.settings, dataset=dataclasses.replace(corpus.settings.dataset, unit_hits=64)
    )
    whole, files = corpus.export(), corpus.shard_files()
    asked = []
    monkeypatch.setattr(excerpts, "LEAST_BYTES", 0)
    monkeypatch.setattr(
        "beatsight_core.dataset.shards.cutting.decode_ranges",
        lambda stream, where, ranges, channel: (
            asked.append(len(ranges)) or excerpts.decode_ranges(stream, where, ranges, channel)
        ),
    )
    for path in corpus.settings.shards_dir.rglob("*.parquet"):
        path.unlink()
    parts = corpus.export()
    assert asked == [3, 3]
    assert corpus.shard_files() == files
    assert parts.indexes == whole.indexes


def test_a_remembered_file_is_not_read_again_for_its_parts(corpus, monkeypatch):
    monkeypatch.setattr(excerpts, "LEAST_BYTES", 0)
    corpus.add_file("long.wav", [7.3], seconds=30.0)
    corpus.export()
    with corpus.path("long.wav").open("rb") as audio:
        size = audio.seek(0, 2)

    def refuse(_):
        raise AssertionError(f"all {size} bytes were read")

    monkeypatch.setattr("beatsight_core.dataset.shards.unit_audio.stream_digest", refuse)
    shorter = dataclasses.replace(corpus.settings.dataset, tail_ms=100.0)
    changed = corpus.export(settings=dataclasses.replace(corpus.settings, dataset=shorter))
    assert (changed.shards_written, changed.to_json()["hits"]) == (1, 1)


def test_digests_learned_on_the_way_are_in_the_inventory(corpus):
    corpus.add_file("a.wav", [0.2])
    copy = corpus.path("b.wav")
    copy.write_bytes(corpus.path("a.wav").read_bytes())
    corpus.add_event("b.wav", 0.2)
    key = corpus.export().key
    found = open_inventory(corpus.settings, open_catalog(corpus.settings, key)).to_json()["duplicates"]
    assert (found["known"], found["extra_files"], found["by_source"]) == (2, 1, {"kits": 1})


def test_the_preflight_counts_all_that_is_to_be_written_and_no_more(corpus, monkeypatch):
    corpus.add_file("a.wav", [0.1 * k for k in range(1, 9)])
    corpus.add_file("b.wav", [0.1 * k for k in range(1, 9)])
    first = corpus.export()
    monkeypatch.setattr(space, "free_bytes", lambda folder: 0)
    assert corpus.export().shards_reused == first.shards_written
    corpus.events[0]["onset_time"] = 0.13
    with pytest.raises(StorageError, match="8 clips are to be written"):
        corpus.export()


def test_processes_are_sized_by_cores_and_memory(monkeypatch):
    assert process_count(0) == min(worker_count(0), available_memory() // ((192 + 64 + 96) << 20))
    assert process_count(7) == 7
    monkeypatch.setattr("beatsight_core.dataset.processes.available_memory", lambda: 1 << 20)
    assert process_count(0) == 1
