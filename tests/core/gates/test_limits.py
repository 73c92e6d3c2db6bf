"""Limits and criteria: pure figures."""

import dataclasses

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from beatsight_core.errors import SettingsError
from beatsight_core.evaluation.predictions import Predictions
from beatsight_core.files import write_json
from beatsight_core.gates.release_limits import (
    PROFILES,
    ProbeLimits,
    limits_for,
    probe_limits,
    probe_notice,
    profile_notice,
)
from beatsight_core.metrics import ClassScores, Metrics
from beatsight_core.promotion.champion_comparison import Difference, against_figures, protected_label
from beatsight_core.promotion.criteria import CRITERIA, exported_model, figure_gate, no_class_worse
from beatsight_core.settings import PROMOTION_FIGURES, load_settings
from beatsight_core.taxonomy import CORE, EXTENDED


def with_gates(settings, **gates):
    return dataclasses.replace(settings, gates=dataclasses.replace(settings.gates, **gates))


def figure_gates(found, limits):
    return [figure_gate(name, found, limit) for name, limit in limits.items()]


def metrics(accuracy=0.95, f1=0.95, loss=0.1, exact_match=0.9):
    per_class = {label: ClassScores(f1=f1, positives=100) for label in CORE.components}
    return Metrics(accuracy=accuracy, loss=loss, exact_match=exact_match, per_class=per_class)


def test_an_f1_of_few_strokes_says_so():
    counted = {"kick": 500, "snare": 20, "crash": 10}
    per_class = {label: ClassScores(f1=0.95, positives=positives) for label, positives in counted.items()}
    found = dataclasses.replace(metrics(), per_class=per_class)
    messages = {row.name: row.message for row in figure_gates(found, PROFILES["production"])}
    assert [name for name, message in messages.items() if "much of it is chance" in message] == ["f1_crash"]
    assert "only 10 evaluated hits hold it" in messages["f1_crash"]


def test_the_shipped_limits_are_those_of_the_contracts(settings):
    limits = {name: (limit.sign, limit.value) for name, limit in limits_for(settings).items()}
    assert limits == {
        "accuracy": ("≥", 0.93), "f1_kick": (">", 0.90), "f1_snare": (">", 0.90), "f1_crash": (">", 0.90),
        "loss": ("≤", 0.45), "exact_match": ("≥", 0.80),
    }  # fmt: skip
    assert profile_notice(settings) is None


def test_settings_know_exactly_the_figures_that_have_limits():
    for profile in PROFILES.values():
        assert {"f1", *profile} == set(PROMOTION_FIGURES)


def test_the_demo_profile_asks_for_less_and_says_so(settings):
    demo = with_gates(settings, profile="demo")
    limits = {name: limit.value for name, limit in limits_for(demo).items()}
    assert limits == {"accuracy": 0.80, "f1_kick": 0.75, "f1_snare": 0.75, "f1_crash": 0.75, "loss": 0.45, "exact_match": 0.60}  # fmt: skip  # noqa: E501
    assert profile_notice(demo) == "demo profile: not for production"


def test_settings_tighten_one_figure_or_all_three_f1(settings):
    limits = limits_for(with_gates(settings, promotion={"f1": 0.95, "f1_kick": 0.97, "loss": 0.3}))
    assert limits["f1_kick"].value == 0.97
    assert limits["f1_snare"].value == limits["f1_crash"].value == 0.95
    assert limits["loss"].value == 0.3
    assert limits["accuracy"].value == 0.93


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"accuracy": 0.92}, "looser"),
        ({"loss": 0.46}, "looser"),
        ({"f1": 0.5}, "f1_kick = 0.5 is looser"),
        ({"acuracy": 0.95}, "did you mean accuracy"),
        ({"exact_match": 1.5}, "cannot be reached"),
    ],
)
def test_settings_cannot_loosen(settings, given, said):
    with pytest.raises(SettingsError, match=said) as caught:
        limits_for(with_gates(settings, promotion=given))
    assert caught.value.exit_code == 2


def test_all_wrong_settings_are_reported_at_once(settings):
    with pytest.raises(SettingsError) as caught:
        limits_for(with_gates(settings, promotion={"accuracy": 0.1, "loss": 0.9, "nothing": 1}))
    assert all(name in str(caught.value) for name in ("accuracy", "loss", "nothing"))


@pytest.mark.parametrize(
    ("figures", "failed"),
    [
        ({}, []),
        ({"accuracy": 0.93}, []),
        ({"accuracy": 0.9299}, ["accuracy"]),
        ({"f1": 0.90}, ["f1_kick", "f1_snare", "f1_crash"]),
        ({"f1": 0.9001}, []),
        ({"f1": None}, ["f1_kick", "f1_snare", "f1_crash"]),
        ({"loss": 0.45}, []),
        ({"loss": 0.4501}, ["loss"]),
        ({"exact_match": 0.80}, []),
        ({"exact_match": 0.79}, ["exact_match"]),
        ({"exact_match": None}, ["exact_match"]),
    ],
)
def test_each_figure_passes_and_fails_at_its_limit(figures, failed):
    rows = figure_gates(metrics(**figures), PROFILES["production"])
    assert [row.name for row in rows if not row.passed] == failed
    assert [row.name for row in rows] == list(CRITERIA[: len(rows)])


@given(st.floats(0, 1), st.sampled_from(sorted(PROFILES)))
@hypothesis_settings(max_examples=50, deadline=None)
def test_margin_and_verdict_agree(value, profile):
    for row in figure_gates(metrics(value, value, value, value), PROFILES[profile]):
        assert row.passed == (row.margin > 0 or (row.margin == 0 and row.limit.sign != ">"))


def test_protected_components_are_found_in_both_taxonomies():
    assert protected_label("snare", CORE.components) == "snare"
    assert protected_label("snare", EXTENDED.components) == "snare_center"
    assert protected_label("crash", EXTENDED.components) == "crash_1"
    assert protected_label("crash", ["kick"]) is None


@pytest.mark.parametrize(
    ("change", "passed"),
    [
        ({"difference": -0.05, "low": -0.09, "high": -0.01}, False),
        ({"difference": -0.05, "low": -0.12, "high": 0.01}, True),
        ({"difference": 0.05, "low": 0.01, "high": 0.09}, True),
        ({"difference": -0.01, "low": None, "high": None}, False),
        ({"difference": 0.0, "low": None, "high": None}, True),
        ({"difference": None, "low": None, "high": None}, True),
    ],
)
def test_worse_beyond_the_interval_and_only_then(change, passed):
    row = no_class_worse({"kick": Difference(**change)}, "version 1")
    assert row.passed is passed
    assert "kick" in row.message
    assert no_class_worse({}, None).passed


def test_a_champion_of_another_taxonomy_is_compared_with_by_the_same_drums(tmp_path):
    """Hits of snare alone, half of them heard: F1 2/3, far below the champion's, whatever either calls it."""
    about = {"value": 0.95, "low": 0.93, "high": 0.97}
    write_json(tmp_path / "metrics.json", {"intervals": {"f1": {"kick": about, "snare": about, "crash": about}}})
    classes = ("kick", "snare_center", "crash_1")
    targets = np.tile(np.array([0, 1, 0], np.uint8), (40, 1))
    sure = np.where(np.arange(40)[:, None] % 2 == 0, targets, 0).astype(np.float32)
    said = Predictions(classes, np.full(3, 0.5, np.float32), pl.DataFrame(), sure, targets)
    changes = against_figures(tmp_path, said)
    assert set(changes) == set(classes)
    assert changes["snare_center"].high == pytest.approx(2 / 3 - 0.93)
    row = no_class_worse(changes, "version 1 as evaluated")
    assert not row.passed
    assert "snare_center" in row.message


def test_an_export_must_load_and_agree():
    assert exported_model(1e-3, "").passed
    assert not exported_model(1.1e-3, "").passed
    assert not exported_model(None, "does not load").passed


def loosened(settings, table, reason, **limits):
    return with_gates(settings, **{table: limits, "loosened": {table: reason}})


def test_a_reason_loosens_and_is_shown_wherever_the_limits_count(settings):
    loose = loosened(settings, "promotion", "a first corpus", accuracy=0.5, f1=0.2, loss=0.3)
    assert limits_for(loose)["accuracy"].value == 0.5
    assert limits_for(loose)["loss"].value == 0.3
    notice = profile_notice(loose)
    assert notice == (
        "promotion limits loosened (accuracy 0.5 instead of 0.93, f1_kick 0.2 instead of 0.9, f1_snare 0.2 instead of "
        "0.9, f1_crash 0.2 instead of 0.9): a first corpus"
    )
    assert profile_notice(loosened(settings, "promotion", "not needed", accuracy=0.95)) is None
    with pytest.raises(SettingsError, match="cannot be reached"):
        limits_for(loosened(settings, "promotion", "too much", accuracy=-0.1))


def test_the_limits_of_a_probe_follow_the_same_rule(settings):
    assert probe_limits(settings) == ProbeLimits(accuracy=0.72, recall=0.25, min_positives=20)
    tight = with_gates(settings, probe={"accuracy": 0.8, "min_positives": 5})
    assert probe_limits(tight) == ProbeLimits(accuracy=0.8, recall=0.25, min_positives=5)
    for asked, said in (
        ({"accuracy": 0.7}, "accuracy = 0.7 is looser than the profile's 0.72"),
        ({"min_positives": 50}, "min_positives = 50 is looser"),
        ({"max_confusion_growth": 0.1}, "max_confusion_growth = 0.1 is looser"),
        ({"acuracy": 0.8}, "did you mean accuracy"),
        ({"recall": 1.5}, "cannot be reached"),
    ):
        with pytest.raises(SettingsError, match=said):
            probe_limits(with_gates(settings, probe=asked))
    loose = loosened(settings, "probe", "few cymbals", recall=0.1)
    assert probe_limits(loose).recall == 0.1
    assert probe_notice(loose) == "probe limits loosened (recall 0.1 instead of 0.25): few cymbals"
    assert profile_notice(loose) == probe_notice(loose)


def test_a_reason_stands_beside_the_limits_in_the_file(data_root):
    file = data_root / "beatsight.toml"
    file.write_text("[gates.promotion]\naccuracy = 0.5\nloosened = 'a  first\\ncorpus'\n[gates.probe]\nrecall = 0.3\n")
    gates = load_settings(data_root).gates
    assert dict(gates.promotion) == {"accuracy": 0.5}
    assert dict(gates.loosened) == {"promotion": "a first\\ncorpus"}
    file.write_text("[gates.promotion]\nloosened = ' '\n[gates.probe]\nloosened = 3\nrecal = 0.3\n")
    for said in ("gates.promotion.loosened must be a reason in words", "gates.probe.loosened must be", "did you mean"):
        with pytest.raises(SettingsError, match=said):
            load_settings(data_root)
