"""A split without a hit is named with what became of its hits."""

from types import SimpleNamespace

import numpy as np
import pytest

from beatsight_core.errors import DatasetError
from beatsight_core.training.filled_splits import require_filled_splits


class OnlySplits:
    """Features of which only the splits are asked."""

    def __init__(self, splits):
        self.splits = splits

    def __len__(self):
        return len(self.splits)

    def rows_of(self, split):
        return np.array([row for row, name in enumerate(self.splits) if name == split])


def test_a_split_that_the_manifest_does_not_fill_is_said(settings):
    folder = settings.catalog_folder("m-1")
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text('{"hits_by_split": {"train": 9, "val": 0}}')
    with pytest.raises(DatasetError, match="no hits in split val") as caught:
        require_filled_splits(settings, "m-1", OnlySplits(["train"] * 9))
    assert "no session of it falls into val" in caught.value.why


def test_hits_that_were_lost_are_counted_by_reason(settings, monkeypatch):
    folder = settings.catalog_folder("m-1")
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text('{"hits_by_split": {"train": 90, "val": 10}}')
    index = SimpleNamespace(rejected={"missing_audio": 80, "past_end": 10, "silent_audio": 0})
    monkeypatch.setattr("beatsight_core.training.filled_splits.index_paths", lambda *_: ["one"])
    monkeypatch.setattr("beatsight_core.training.filled_splits.read_index", lambda _: index)
    with pytest.raises(DatasetError, match="no hits in split train") as caught:
        require_filled_splits(settings, "m-1", OnlySplits(["val"] * 10))
    assert caught.value.why == (
        "not one of the 90 that the manifest has became a clip; lost at the export: missing_audio 80, past_end 10; "
        "the dataset holds 10 clips in all"
    )


def test_filled_splits_pass(settings):
    require_filled_splits(settings, "m-1", OnlySplits(["train", "val"]))
