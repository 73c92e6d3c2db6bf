"""Whether a run went on or began from nothing is said as it was."""

import pytest

from beatsight_core.runs.records import open_run
from beatsight_core.training.checkpoint import last_checkpoints
from beatsight_core.training.run import train

VALUES = {"epochs": 2, "batch": 32, "accumulation": 1, "checkpoint_epochs": 1}


@pytest.mark.long
def test_a_start_from_nothing_is_no_resumption_and_going_on_from_any_checkpoint_is(trained):
    settings, run_id = trained
    key = open_run(settings, run_id).key
    first = train(settings, key, overrides=VALUES, device="cpu")
    assert not first.resumed
    newest = last_checkpoints(first.folder / "checkpoints")[0][1]
    newest.write_bytes(newest.read_bytes()[:-7])
    (first.folder / "metrics.json").unlink()
    again = train(settings, key, overrides=VALUES, device="cpu")
    assert (again.resumed, again.was_finished) == (True, False)
    # As a kill before the first checkpoint leaves it, and more: all that may be there without one.
    for path in (first.folder / "metrics.json", *(path for _, path in last_checkpoints(first.folder / "checkpoints"))):
        path.unlink()
    assert (first.folder / "history.jsonl").is_file()
    assert (first.folder / "checkpoints" / "best.pt").is_file()
    anew = train(settings, key, overrides=VALUES, device="cpu")
    assert (anew.resumed, anew.metrics) == (False, first.metrics)
    assert train(settings, key, overrides=VALUES, device="cpu").resumed  # found finished
