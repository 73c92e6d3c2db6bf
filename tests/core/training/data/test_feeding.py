import threading

import numpy as np
import pytest
import torch

from beatsight_core.runs import records
from beatsight_core.training.data.batches import HostClips, MappedClips, ResidentClips, choose_residence, load_clips
from beatsight_core.training.data.feeding import Feed
from beatsight_core.training.fit import fit
from tests.core.training.test_resume import assert_same, comparable, terminate_at

CPU = torch.device("cpu")
KINDS = {"device": ResidentClips, "host": HostClips, "map": MappedClips}


def readers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("clips")]


@pytest.mark.parametrize("residence", KINDS)
def test_a_feed_gives_the_batches_asked_for_in_their_order(features, residence):
    rows = features.rows_of("train")
    clips = load_clips(features, rows, CPU, residence=residence)
    assert type(clips) is KINDS[residence]
    parts = [torch.tensor(part) for part in ([70, 3], [3, 99, 0], [5], [6], [7, 8])]
    with Feed(clips, iter(parts)) as feed:
        batches = list(feed)
    assert readers() == []
    assert feed.waited_s > 0
    stored = np.concatenate(features.arrays)[rows].astype(np.float32)
    for part, (decibels, targets) in zip(parts, batches, strict=True):
        assert np.array_equal(decibels.numpy(), stored[part.numpy()])
        assert np.array_equal(targets.numpy(), features.targets[rows][part.numpy()])


def test_what_goes_wrong_while_reading_is_raised_where_the_batch_is_asked_for(features):
    clips = load_clips(features, features.rows_of("train"), CPU, residence="host")
    with pytest.raises(IndexError), Feed(clips, iter([torch.tensor([0]), torch.tensor([100_000])])) as feed:
        list(feed)
    assert readers() == []


def test_where_clips_lie_shows_in_no_result(attempt, last_state, caplog):
    states = {}
    with caplog.at_level("INFO", "beatsight"):
        for residence in KINDS:
            run = attempt(residence, epochs=2, residence=residence)
            fit(run)
            states[residence] = comparable(last_state(run))
    assert_same(states["host"], states["device"])
    assert_same(states["map"], states["device"])
    for words in ("resident on cpu", "in memory, copied to cpu", "memory-mapped, copied to cpu"):
        assert f"training clips: 100 clips, 0.00 GB, {words}" in caplog.text


def test_a_run_may_go_on_with_clips_elsewhere(attempt, last_state):
    whole = attempt("whole")
    fit(whole)
    with pytest.raises(KeyboardInterrupt):
        fit(attempt("moved", terminate_at(4)))
    again = attempt("moved", residence="map")
    fit(again)
    assert readers() == []
    assert_same(comparable(last_state(again)), comparable(last_state(whole)))
    assert all(
        0 < record["data_wait_seconds"] < record["train_seconds"] for record in records.read_history(again.folder)
    )


def test_free_memory_decides():
    assert choose_residence(60, on_device=60, on_host=1) == "device"
    assert choose_residence(61, on_device=60, on_host=1000) == "host"
    assert choose_residence(61, on_device=-5, on_host=60) == "map"
