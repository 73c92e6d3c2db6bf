import html.parser
import io
import json
import re
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
import soundfile as sf

from beatsight_core.dataset import export
from beatsight_core.dataset.index import index_paths, read_index
from beatsight_core.dataset.page import dataset_page as pages
from beatsight_core.dataset.page.dataset_page import page_paths, write_dataset_page
from beatsight_core.dataset.page.examples import choose_examples, clip_sound
from beatsight_core.dataset.page.figures import label_counts
from beatsight_core.errors import DatasetError

HOSTILE = "<script>alert('1')</script>&\"\u202e\u05d0"


@pytest.fixture
def exported(corpus):
    """Eight files of several labels, their sessions under names that want to be more than names; its key."""
    labels = [("kick",), ("snare",), ("kick", "crash"), ("hihat_closed",)]
    for number in range(8):
        name = f"take{number}.wav"
        corpus.add_file(name, [])
        for place, onset in enumerate((0.1, 0.4, 0.7)):
            corpus.add_event(name, onset, labels[(number + place) % 4], session_id=f"{HOSTILE} {number}")
    corpus.add_event("gone.wav", 0.5)
    return corpus.export().key


class Seen(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs


def test_a_page_shows_figures_and_has_sounds_and_pictures(corpus, exported):
    page = write_dataset_page(corpus.settings, exported)
    text = page.read_text(encoding="utf-8")
    seen = Seen(text)
    figures = json.loads(page.with_suffix(".json").read_text())
    assert figures["totals"]["clips"] == 24
    assert figures["rejected"] == {"missing_audio": 1}
    assert {row["label"]: row["clips"] for row in figures["labels"] if row["clips"]} == {
        "kick": 12, "snare": 6, "hihat_closed": 6, "crash": 6,
    }  # fmt: skip
    assert seen.tags.count("audio") == seen.tags.count("img") == 16
    assert figures["digest"] in text
    assert "gone.wav" in text


def test_a_page_asks_nobody_and_runs_nothing(corpus, exported):
    text = write_dataset_page(corpus.settings, exported).read_text(encoding="utf-8")
    seen = Seen(text)
    assert "script" not in seen.tags
    assert "&lt;script&gt;" in text
    addresses = [value for key, value in seen.attributes if key in {"src", "href"}]
    assert all(value.startswith(("data:", "#")) for value in addresses)
    assert not re.search(r"url\(|@import|https?:", text)


def test_an_example_holds_its_label_and_is_the_clip_itself(corpus, exported):
    indexes = [read_index(path) for path in index_paths(corpus.settings, exported)]
    chosen = choose_examples(corpus.settings, label_counts(corpus.settings, indexes), ["kick", "crash", "china"], 4)
    assert list(chosen) == ["kick", "crash"]
    assert all(example.origin.labels == ["kick"] for example in chosen["kick"])  # alone first
    places = [(example.shard, example.row) for examples in chosen.values() for example in examples]
    assert len(set(places)) == len(places) == 8
    for label, examples in chosen.items():
        for example in examples:
            assert label in example.origin.labels
            sound = clip_sound(corpus.settings, example.shard, example.row)
            path = next(corpus.settings.shards_dir.rglob(f"{example.shard}.parquet"))
            row = pl.read_parquet(path).row(example.row, named=True)
            assert row["hit_id"] == example.origin.hit_id
            stored, _ = sf.read(io.BytesIO(row["audio"]["bytes"]), dtype="int16")
            heard, rate = sf.read(io.BytesIO(sound.flac), dtype="int16")
            np.testing.assert_array_equal(stored, sound.samples)
            np.testing.assert_array_equal(heard, sound.samples)
            assert rate == row["sample_rate"]


def test_a_page_is_made_again_only_for_another_dataset(corpus, exported):
    page = write_dataset_page(corpus.settings, exported)
    made = page.stat().st_mtime_ns
    first = page.read_bytes()
    assert write_dataset_page(corpus.settings, exported).stat().st_mtime_ns == made
    page.unlink()
    assert write_dataset_page(corpus.settings, exported).read_bytes() == first  # the same dataset gives the same page
    corpus.add_file("gone.wav", [])
    assert corpus.export().key == exported
    assert write_dataset_page(corpus.settings, exported).read_bytes() != first


def test_a_page_stays_small(corpus, exported, monkeypatch):
    whole = write_dataset_page(corpus.settings, exported)
    monkeypatch.setattr(pages, "SOUND_BYTES", 100_000)
    whole.unlink()
    text = write_dataset_page(corpus.settings, exported).read_text(encoding="utf-8")
    assert 1 <= Seen(text).tags.count("audio") < 16


def test_a_dataset_without_clips_has_a_page(corpus, monkeypatch):
    monkeypatch.setattr(export, "require_clips", lambda *_: None)  # as earlier versions left it
    corpus.path("gone.wav").parent.mkdir(parents=True)
    corpus.add_event("gone.wav", 0.5)
    text = write_dataset_page(corpus.settings, corpus.export().key).read_text(encoding="utf-8")
    assert "There is no clip to hear." in text


def test_what_is_gone_or_broken_is_an_error_that_says_so(corpus, exported):
    with pytest.raises(DatasetError, match="There is no dataset of nothing"):
        write_dataset_page(corpus.settings, "nothing")
    for shard in corpus.settings.shards_dir.rglob("*.parquet"):
        shard.write_bytes(shard.read_bytes()[:200])
    with pytest.raises(DatasetError, match="missing or broken"):
        write_dataset_page(corpus.settings, exported)
    assert not page_paths(corpus.settings, exported)[0].exists()


def test_a_page_needs_neither_torch_nor_matplotlib(corpus, exported):
    code = (
        "import sys; from beatsight_core.dataset.page.dataset_page import write_dataset_page;"
        "from beatsight_core.settings import load_settings;"
        "write_dataset_page(load_settings(sys.argv[1], environment={}), sys.argv[2]);"
        "sys.exit(bool({'torch', 'matplotlib'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(corpus.settings.data_root), exported]
    assert subprocess.run(command, check=False).returncode == 0
