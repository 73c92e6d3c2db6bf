"""What one change costs: each test changes one thing and counts the shards that are made again."""

import dataclasses
import os

import numpy as np
import pytest
import soundfile as sf

from beatsight_core.dataset.index import read_index
from beatsight_core.taxonomy import taxonomy_named


@pytest.fixture
def packed(corpus):
    """60 small files in many units, and one with many hits that stands alone; exported once."""
    for number in range(60):
        corpus.add_file(f"kit/{number:03d}.wav", [0.1], seconds=0.3)
    corpus.add_file("long.wav", [0.1 * k for k in range(1, 9)])
    corpus.first = corpus.export()
    assert corpus.first.shards_written > 12
    return corpus


def cost(corpus, **options) -> tuple[int, int]:
    """(written, reused) of another export."""
    result = corpus.export(**options)
    return result.shards_written, result.shards_reused


def with_dataset(corpus, **changes):
    return dataclasses.replace(corpus.settings, dataset=dataclasses.replace(corpus.settings.dataset, **changes))


def names(result) -> list[str]:
    return [entry.digest for index in result.indexes for entry in index.shards]


def test_nothing_changed(packed):
    assert cost(packed) == (0, packed.first.shards_written)


def test_a_file_touched_but_not_changed(packed):
    os.utime(packed.path("kit/017.wav"), ns=(1, 1))
    assert cost(packed) == (0, packed.first.shards_written)


def test_a_file_changed(packed):
    samples, rate = sf.read(packed.path("kit/017.wav"), dtype="int16")
    sf.write(packed.path("kit/017.wav"), samples // 2, rate)
    assert cost(packed) == (1, packed.first.shards_written - 1)


def test_a_file_moved_to_another_root(packed, tmp_path):
    roots = (packed.settings.data_root / "raw/kits", tmp_path / "d")
    source = dataclasses.replace(packed.settings.source("kits"), roots=roots)
    packed.settings = dataclasses.replace(packed.settings, sources={"kits": source})
    assert cost(packed)[0] == 0
    (tmp_path / "d/kit").mkdir(parents=True)
    packed.path("kit/017.wav").rename(tmp_path / "d/kit/017.wav")
    assert cost(packed) == (0, packed.first.shards_written)


@pytest.mark.parametrize("change", [{"velocity": 0.9}, {"openness": 0.3}, {"label": "snare"}])
def test_a_component_of_one_event_changed(packed, change):
    packed.events[17]["components"][0] |= change
    assert cost(packed) == (1, packed.first.shards_written - 1)


@pytest.mark.parametrize("change", [{"onset_time": 0.11}, {"techniques": ["flam"]}, {"kit_id": "maple"}])
def test_a_field_of_one_event_changed(packed, change):
    packed.events[17] |= change
    assert cost(packed) == (1, packed.first.shards_written - 1)


def test_a_field_that_no_clip_holds_changed(packed):
    packed.events[17]["tempo_bpm"] = 97.0
    again = packed.export()
    assert again.key != packed.first.key
    assert (again.shards_written, again.shards_reused) == (0, packed.first.shards_written)


def test_an_event_added_to_a_file(packed):
    packed.add_event("kit/017.wav", 0.2)
    assert cost(packed) == (1, packed.first.shards_written - 1)


def test_an_event_removed_from_a_file(packed):
    del packed.events[-3]
    assert cost(packed) == (1, packed.first.shards_written - 1)


def test_a_file_added_to_those_that_are_packed(packed):
    packed.add_file("kit/017b.wav", [0.1], seconds=0.3)
    again = packed.export()
    before, after = names(packed.first), names(again)
    assert 1 <= again.shards_written <= 3
    assert again.shards_reused >= packed.first.shards_written - 3
    changed = [place for place, name in enumerate(before) if name not in after]
    assert changed == list(range(changed[0], changed[0] + len(changed))), "only neighbours"


def test_a_file_that_leaves_the_manifest(packed):
    packed.events = [event for event in packed.events if event["audio_path"] != "kit/017.wav"]
    again = packed.export()
    assert again.shards_written <= 3
    assert again.shards_reused >= packed.first.shards_written - 3


@pytest.mark.parametrize(
    "change", [{"pre_ms": 60.0}, {"tail_ms": 150.0}, {"sample_rate_hz": 22050}, {"encoding": "flac"},
               {"fixed_length": False}],
)  # fmt: skip
def test_a_setting_that_changes_clips(packed, change):
    changed = with_dataset(packed, **change)
    assert cost(packed, settings=changed) == (packed.first.shards_written, 0)
    assert cost(packed) == (0, packed.first.shards_written)


def test_another_taxonomy(packed):
    assert "kick" in taxonomy_named("extended").components
    other = dataclasses.replace(packed.settings, taxonomy="extended")
    assert cost(packed, settings=other) == (packed.first.shards_written, 0)


@pytest.mark.parametrize("change", [{"workers": 2}, {"workers": 5}])
def test_a_setting_that_changes_no_clip(packed, change):
    assert cost(packed, settings=with_dataset(packed, **change)) == (0, packed.first.shards_written)


def test_features_gates_and_training_settings_change_no_clip(packed):
    settings = packed.settings
    other = dataclasses.replace(
        settings,
        features=dataclasses.replace(settings.features, n_mels=64),
        gates=dataclasses.replace(settings.gates, profile="demo"),
        training={"warmup": {"epochs": 3}},
    )
    assert cost(packed, settings=other) == (0, packed.first.shards_written)


def test_another_val_ratio_rebuilds_only_shards_with_a_hit_that_changed_sides(packed):
    def sides(result) -> dict[str, set[tuple[str, str]]]:
        import polars as pl

        rows = {}
        for name in names(result):
            path = packed.settings.shards_dir / name[:2] / f"{name}.parquet"
            rows[name] = set(pl.read_parquet(path, columns=["hit_id", "split"]).rows())
        return rows

    before = sides(packed.first)
    again = packed.export(settings=with_dataset(packed, val_ratio=0.15))
    after = sides(again)
    moved = [name for name, rows in before.items() if rows not in after.values()]
    assert 0 < len(moved) < len(before)
    assert again.shards_written == len(moved)
    assert again.shards_reused == len(before) - len(moved)


def test_a_new_version_of_the_manifest_shows_what_was_reused(packed):
    packed.add_file("new.wav", [0.1 * k for k in range(1, 8)])
    packed.events[3]["onset_time"] = 0.12
    again = packed.export()
    said = again.to_json()
    assert again.key != packed.first.key
    assert (said["shards_written"], said["shards_reused"]) == (2, packed.first.shards_written - 1)
    kept = set(names(packed.first)) & set(names(again))
    assert len(kept) == said["shards_reused"]
    (index,) = again.indexes
    assert read_index(again.index_paths[0]) == index


def test_overwrite_makes_all_again_and_heal_only_what_is_broken(packed):
    from beatsight_core.dataset.verify_export import check_dataset

    assert cost(packed, overwrite=True) == (packed.first.shards_written, 0)
    shards = sorted(packed.settings.shards_dir.rglob("*.parquet"))
    state = {path: path.stat().st_mtime_ns for path in shards}
    data = bytearray(shards[0].read_bytes())
    data[np.random.default_rng(0).integers(len(data))] ^= 4
    shards[0].write_bytes(data)
    assert check_dataset(packed.settings, packed.first.key, heal=True).passed
    assert [path for path in shards if path.stat().st_mtime_ns != state[path]] == shards[:1]
