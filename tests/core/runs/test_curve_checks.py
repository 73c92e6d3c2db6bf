"""Shapes of loss curves: what is healthy passes whole, what is ill fails by the name of its illness."""

import json
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from beatsight_core.runs.curve_checks import EARLY_EPOCHS, FEWEST_EPOCHS, check_curves

NAMES = [
    "finite", "training_falls", "training_smooth", "validation_flat", "validation_rising", "validation_end",
    "oscillation",
]  # fmt: skip


def history(train: list[float], val: list[float]) -> list[dict[str, float]]:
    return [{"train_loss": t, "val_loss": v} for t, v in zip(train, val, strict=True)]


def decay(epochs: int, rate: float = 0.2, floor: float = 0.1, start: float = 0.7) -> list[float]:
    return [floor + (start - floor) * math.exp(-rate * epoch) for epoch in range(epochs)]


def failed(train: list[float], val: list[float], warmup: float = 4) -> list[str]:
    return [check.name for check in check_curves(history(train, val), warmup) if not check.passed]


REAL = [0.3985, 0.2082, 0.1571, 0.1216, 0.1004, 0.0807, 0.067, 0.0569], [
    0.2049, 0.1544, 0.093, 0.0764, 0.0583, 0.038, 0.0289, 0.0267]  # fmt: skip
"""A probe that learned, as its history says."""
REAL_FLAT = [
    0.6579, 0.5064, 0.3967, 0.3362, 0.3168, 0.2888, 0.29, 0.251, 0.2674, 0.2505, 0.2742, 0.2393, 0.2434, 0.2349, 0.2176,
], [
    0.6897, 0.6565, 0.5848, 0.4857, 0.3932, 0.3409, 0.3218, 0.3211, 0.3233, 0.3254, 0.327, 0.3244, 0.3219, 0.3184,
    0.3148,
]  # fmt: skip
"""One on far too few hits: it stopped getting better at epoch 7, and never named more than a third rightly."""


@pytest.mark.parametrize(
    ("train", "val", "wrong"),
    [
        (*REAL, []),
        (decay(60), decay(60, floor=0.2), []),
        (decay(220, rate=0.05), decay(220, rate=0.05), []),
        (*REAL_FLAT, ["validation_flat"]),
        (decay(12), [0.5] * 12, ["validation_flat"]),
        (decay(12), [0.4 + 0.02 * n for n in range(12)], ["validation_flat", "validation_rising", "validation_end"]),
        (decay(15), [*decay(9), *[0.3 + 0.03 * n for n in range(6)]],
         ["validation_flat", "validation_rising", "validation_end"]),
        (decay(15), [*decay(12, rate=0.3), *[0.14, 0.16, 0.19]], ["validation_rising", "validation_end"]),
        (decay(30), [*decay(20), *[0.11 + 0.01 * n for n in range(10)]], ["validation_end"]),
        ([0.4, 0.45, 0.5, 0.55, 0.6], decay(5), ["training_falls", "training_smooth"]),
        ([0.7, 0.3, 0.6, 0.3, 0.2, 0.1], decay(6), ["training_smooth"]),
        (decay(30), [value * (1.1 if n % 2 else 0.9) for n, value in enumerate(decay(30))], ["oscillation"]),
        ([0.7, math.nan], [0.6, 0.5], ["finite"]),
        ([0.7, math.inf, 0.5], [0.6, 0.5, 0.4], ["finite"]),
        ([], [], ["finite"]),
    ],
)  # fmt: skip
def test_each_illness_fails_by_its_own_name(train: list[float], val: list[float], wrong: list[str]) -> None:
    assert failed(train, val) == wrong


def test_a_missing_loss_is_no_number() -> None:
    (check,) = check_curves([{"train_loss": 0.5, "val_loss": None}], 0)
    assert (check.name, check.passed, check.value) == ("finite", False, 1)
    assert "1 losses are not numbers" in check.found


def test_flattening_is_an_illness_before_epoch_15_and_not_after() -> None:
    early = [*decay(5, rate=0.6), *[0.16] * 30]
    late = [*decay(EARLY_EPOCHS, rate=0.15), *[0.16] * 30]
    assert failed(decay(35), early) == ["validation_flat"]
    assert failed(decay(45), late) == []


def test_a_short_run_is_judged_by_the_epochs_it_has_and_a_very_short_one_says_so() -> None:
    assert failed(decay(FEWEST_EPOCHS), [0.5] * FEWEST_EPOCHS) == ["validation_flat"]
    checks = check_curves(history(decay(3), [0.5] * 3), 1)
    assert [check.name for check in checks] == NAMES
    assert all(check.passed for check in checks)
    untold = [check for check in checks if "too few to tell" in check.found]
    assert [check.name for check in untold] == ["validation_flat", "validation_rising", "oscillation"]
    assert all(check.margin == 0 for check in untold)
    assert all(check.passed for check in check_curves(history([0.7], [0.6]), 0))


def test_swings_of_the_warm_up_do_not_count() -> None:
    val = [0.9, 0.6, 0.9, 0.6, 0.9, 0.6, *decay(12, start=0.55)]
    assert failed(decay(18), val, warmup=7) == []
    assert failed(decay(18), val, warmup=0) == ["oscillation"]


def test_a_run_that_extends_another_counts_from_the_others_epochs() -> None:
    records = [{**record, "epoch": 30 + place} for place, record in enumerate(history(decay(8), [0.3] * 8))]
    assert all(check.passed for check in check_curves(records, 4))


def test_a_loss_that_is_nothing_already_is_neither_flat_nor_rising() -> None:
    assert failed(decay(8), [5e-4, 2e-4, 1e-4, 5e-5, 9e-5, 2e-4, 1e-4, 3e-4]) == []


losses = st.lists(st.floats(1e-4, 1e3), min_size=1, max_size=40)


@given(losses, losses, st.floats(0, 30))
@hypothesis_settings(max_examples=80, deadline=None)
def test_any_finite_curve_gets_every_check_with_a_finite_margin_that_agrees(
    train: list[float], val: list[float], warmup: float
) -> None:
    shortest = min(len(train), len(val))
    checks = check_curves(history(train[:shortest], val[:shortest]), warmup)
    assert [check.name for check in checks] == NAMES
    for check in checks:
        assert math.isfinite(check.value)
        assert check.passed == (check.margin >= 0) or (check.name == "training_falls" and check.margin == 0)
    assert "NaN" not in json.dumps([check.to_json() for check in checks])


@given(st.floats(0.03, 0.5), st.integers(4, 60), st.floats(0.01, 0.3))
@hypothesis_settings(max_examples=60, deadline=None)
def test_every_steady_fall_is_healthy(rate: float, epochs: int, floor: float) -> None:
    """A fall that is still going on within the first 15 epochs, as its halves show."""
    val = decay(epochs, rate=min(rate, 0.2), floor=floor)
    early = val[:EARLY_EPOCHS]
    assert all(later < earlier for earlier, later in pairwise(val))
    if early[len(early) // 2] < 0.97 * early[len(early) // 2 - 1]:
        assert failed(decay(epochs, rate=rate, floor=floor), val) == []


@given(st.floats(0.15, 0.6), st.integers(8, 40))
@hypothesis_settings(max_examples=40, deadline=None)
def test_every_wide_zigzag_oscillates(width: float, epochs: int) -> None:
    val = [0.4 * (1 + (width if n % 2 else -width)) for n in range(epochs)]
    assert "oscillation" in failed(decay(epochs), val, warmup=0)


def test_what_did_not_happen_is_not_told_as_a_nought():
    def said(name: str, train: list[float], val: list[float]) -> str:
        return {check.name: check.found for check in check_curves(history(train, val), 0)}[name]

    falls, swings = [0.4, 0.3, 0.2, 0.1], [0.4, 0.3, 0.35, 0.1, 0.1004]
    assert said("validation_end", falls, falls) == "validation loss ended at its best, 0.1000"
    assert said("validation_end", [*falls, 0.1], swings) == "validation loss ended 0.4% above its best, 0.1000"
    assert said("training_smooth", falls, falls) == "training loss never climbed back"
    assert said("training_smooth", swings, swings) == "training loss climbed back by up to 0.0500, 16.7% of its fall"
    assert said("oscillation", falls, falls) == "after the warm-up the validation loss never turned"
    assert said("oscillation", swings, swings).startswith("after the warm-up the validation loss turned 3 times")
