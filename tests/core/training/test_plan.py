import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beatsight_core.errors import SettingsError
from beatsight_core.runs import records
from beatsight_core.runs.presets import TrainingConfig, load_preset
from beatsight_core.training.fit import fit
from beatsight_core.training.steps_plan import describe, fitting_accumulation, resolve
from tests.core.training.test_resume import assert_same, comparable, terminate_at

BASELINE = TrainingConfig(
    preset="baseline", epochs=60, schedule="plateau", lr=5e-4, batch=48, ema_decay=0.999, enlarge_batch="always"
)
PRODUCTION = 3_010_770


def test_accumulation_is_lowered_where_steps_would_be_few(config):
    few = dataclasses.replace(config, accumulation=4, least_steps=500)
    assert [fitting_accumulation(few, batches) for batches in (1, 538, 1500, 2000, 94_000)] == [1, 1, 3, 4, 4]
    assert fitting_accumulation(dataclasses.replace(few, least_steps=0), 538) == 4


def test_very_many_clips_are_taken_in_large_batches_at_the_root_of_the_factor():
    resolved = resolve(BASELINE, PRODUCTION, on_cuda=False)
    assert (resolved.batch, resolved.accumulation) == (768, 1)
    assert resolved.lr == pytest.approx(4 * 5e-4)
    assert resolved.min_lr == pytest.approx(4 * BASELINE.min_lr)
    assert resolved.ema_decay == pytest.approx(0.999**16)
    assert resolved.warmup_epochs == 1.0
    assert resolved.epochs == 60
    assert (
        describe(BASELINE, resolved) == "steps of 768 clips (768 x 1), rate 0.002; the preset says 48 x 1, rate 0.0005"
    )
    assert resolve(BASELINE, PRODUCTION, on_cuda=False, processes=8).batch == 3072  # 500 steps an epoch are the limit


@pytest.mark.parametrize(
    ("mode", "on_cuda", "batch"),
    [("never", True, 48), ("auto", False, 48), ("auto", True, 768), ("always", False, 768)],
)
def test_the_setting_and_the_device_decide(mode, on_cuda, batch):
    config = dataclasses.replace(BASELINE, enlarge_batch=mode)
    assert resolve(config, PRODUCTION, on_cuda=on_cuda).batch == batch


@given(
    clips=st.integers(1, 5_000_000), batch=st.integers(1, 300), accumulation=st.integers(1, 8),
    least_steps=st.integers(0, 1000), processes=st.integers(1, 8),
)  # fmt: skip
def test_steps_grow_by_a_factor_that_leaves_enough_of_them(clips, batch, accumulation, least_steps, processes):
    config = dataclasses.replace(BASELINE, batch=batch, accumulation=accumulation, least_steps=least_steps)
    before = resolve(dataclasses.replace(config, enlarge_batch="never"), clips, on_cuda=True)
    after = resolve(config, clips, on_cuda=True, processes=processes)
    factor = after.batch * after.accumulation / (before.batch * before.accumulation)
    assert math.log2(factor) == int(math.log2(factor))
    assert after.lr == pytest.approx(config.lr * math.sqrt(factor))
    assert after.batch <= max(1024 * processes, batch)
    assert after.batch % batch == 0
    if factor > 1:
        assert clips // (after.batch * after.accumulation) >= least_steps
        assert after.batch * after.accumulation <= 1024 * processes


def test_a_resumed_run_keeps_the_steps_of_its_checkpoint(attempt, last_state):
    changes = {"enlarge_batch": "always", "least_steps": 1, "epochs": 4}
    whole = attempt("whole", **changes)
    fit(whole)
    assert last_state(whole)["steps"]["batch"] == 64
    with pytest.raises(KeyboardInterrupt):
        fit(attempt("moved", terminate_at(2), **changes))
    again = attempt("moved", **changes)
    again.config = dataclasses.replace(again.config, enlarge_batch="never")  # as on a device where it would not be
    fit(again)
    assert_same(comparable(last_state(again)), comparable(last_state(whole)))
    history = records.read_history(again.folder)
    assert [record["batch"] for record in history] == [64] * 4


def test_impossible_words_and_numbers_are_named_in_one_message(settings):
    wrong = {"enlarge_batch": "often", "balance": "drums", "residence": "attic", "processes": -1, "largest_batch": 0}
    with pytest.raises(SettingsError) as caught:
        load_preset(settings, "warmup", wrong)
    assert all(name in str(caught.value) for name in wrong)


def test_how_a_run_is_carried_out_is_no_part_of_what_it_is(settings):
    one, other = (
        load_preset(settings, "warmup", {"residence": where, "processes": n}) for where, n in (("map", 2), ("host", 0))
    )
    assert one.identity() == other.identity()
    assert one.identity() != load_preset(settings, "warmup", {"balance": "classes"}).identity()
