"""Intervals, comparison, calibration, confusion, mistakes and breakdowns on predictions whose truth is known."""

import dataclasses

import numpy as np
import orjson
import polars as pl
import pytest

from beatsight_core.errors import DatasetError
from beatsight_core.evaluation.bootstrap import (
    CLASS_SCORES,
    SCORES,
    Intervals,
    bootstrap_intervals,
    resample,
    sampled_scores,
    sum_by_session,
)
from beatsight_core.evaluation.bootstrap_ap import STEPS, average_precisions
from beatsight_core.evaluation.breakdown import GAP_BUCKETS, GAPS_S, breakdown
from beatsight_core.evaluation.calibration import calibration
from beatsight_core.evaluation.compare_models import compare_predictions
from beatsight_core.evaluation.confusion import ConfusedPair, WatchedPair, confusion, missed_as
from beatsight_core.evaluation.mistakes import top_mistakes
from beatsight_core.evaluation.predictions import Predictions, load_predictions
from beatsight_core.taxonomy import VELOCITY_BUCKETS, velocity_bucket
from beatsight_core.typed_json import from_json, to_json


def shuffled(predictions: Predictions, seed: int = 1) -> Predictions:
    order = np.random.default_rng(seed).permutation(len(predictions))
    return predictions.part(order, predictions.classes)


def test_predictions_come_back_from_disk_as_they_were(predicted, tmp_path):
    before = predicted()
    before.save(tmp_path / "p.parquet")
    after = load_predictions(tmp_path / "p.parquet")
    assert after.metrics() == before.metrics()
    assert after.classes == before.classes
    assert after.hits.equals(before.hits.select(after.hits.columns))


def test_broken_predictions_are_an_error_that_says_what_to_do(predicted, tmp_path):
    path = tmp_path / "p.parquet"
    with pytest.raises(DatasetError, match="missing"):
        load_predictions(path)
    predicted().save(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DatasetError, match="evaluate the run again"):
        load_predictions(path)


def test_one_resample_that_draws_each_session_once_gives_the_metrics(predicted):
    predictions = predicted()
    sums = sum_by_session(predictions)
    got = sampled_scores(predictions, sums, np.ones((1, len(sums.hits))), np.ones(4, dtype=bool))
    expected = predictions.metrics()
    for name in SCORES:
        assert got[name][0] == pytest.approx(getattr(expected, name))
    for name in CLASS_SCORES:
        assert got[name][0] == pytest.approx(
            [getattr(expected.per_class[label], name) for label in predictions.classes]
        )


def test_a_resample_is_the_metric_of_the_hits_that_it_draws(predicted):
    predictions = predicted(hits=120, sessions=6)
    sums = sum_by_session(predictions)
    drawn = resample(sums.strata, 3, seed=5)
    names = sorted(predictions.hits["session_id"].unique())
    rows = [
        np.concatenate(
            [
                np.flatnonzero((predictions.hits["session_id"] == name).to_numpy())
                for name, times in zip(names, counts, strict=True)
                for _ in range(int(times))
            ]
        )
        for counts in drawn
    ]
    got = sampled_scores(predictions, sums, drawn, np.ones(4, dtype=bool))
    for index, chosen in enumerate(rows):
        expected = predictions.part(chosen, predictions.classes).metrics(min_positives=1)
        for name in SCORES:
            assert got[name][index] == pytest.approx(getattr(expected, name))
        for name in CLASS_SCORES:
            assert got[name][index] == pytest.approx(
                [getattr(expected.per_class[label], name) for label in predictions.classes]
            )


def test_average_precision_of_many_probabilities_is_looked_at_in_steps(predicted):
    predictions = predicted(hits=6 * STEPS, skill=0.7)
    ones, session = np.ones((1, 1)), np.zeros(len(predictions), dtype=np.intp)
    got = average_precisions(predictions, session, ones)[0]
    exact = [scores.ap for scores in predictions.metrics().per_class.values()]
    assert predictions.reference[:, 0].sum() > STEPS
    assert got == pytest.approx(exact, abs=2e-3)
    absent = dataclasses.replace(predictions, targets=np.zeros_like(predictions.targets))
    assert np.isnan(average_precisions(absent, session, ones)).all()


def test_resampling_keeps_the_sessions_per_source_and_is_seeded(predicted):
    strata = sum_by_session(predicted()).strata
    drawn = resample(strata, 50, seed=3)
    assert (drawn[:, strata == 0].sum(axis=1) == (strata == 0).sum()).all()
    assert (drawn.sum(axis=1) == len(strata)).all()
    assert (drawn == resample(strata, 50, seed=3)).all()
    assert (drawn != resample(strata, 50, seed=4)).any()


def test_intervals_hold_the_value_and_do_not_depend_on_the_order_of_hits(predicted):
    predictions = predicted()
    got = bootstrap_intervals(predictions)
    assert got == bootstrap_intervals(shuffled(predictions))
    by_label = [interval for name in CLASS_SCORES for interval in getattr(got, name).values()]
    assert len(by_label) == 16
    for interval in (*(getattr(got, name) for name in SCORES), *by_label):
        assert interval.low < interval.value < interval.high
    assert bootstrap_intervals(predicted(hits=50, sessions=1)).accuracy.low is None
    assert from_json(Intervals, orjson.loads(orjson.dumps(to_json(got)))) == got


def test_a_paired_comparison_sees_what_unpaired_intervals_hide(predicted):
    before = predicted(hits=600, skill=1.0)
    sure = before.probabilities.copy()
    wrong_kicks = np.flatnonzero((before.reference[:, 0]) & (sure[:, 0] < 0.5))
    sure[wrong_kicks[::2], 0] = 0.9
    after = shuffled(dataclasses.replace(before, probabilities=sure))
    change = compare_predictions(before, after)
    assert change.hits == 600
    assert change.f1["kick"].low > 0
    assert change.f1["snare"].difference == 0 == change.f1["snare"].low == change.f1["snare"].high
    back = compare_predictions(after, before)
    assert back.accuracy.difference == pytest.approx(-change.accuracy.difference)


def test_a_comparison_is_made_on_the_common_hits_and_components_only(predicted):
    whole = predicted()
    part = whole.part(np.arange(100, 200), ("snare", "kick"))
    change = compare_predictions(whole, part)
    assert change.hits == 100
    assert set(change.f1) == {"kick", "snare"}
    assert change.accuracy.difference == 0
    with pytest.raises(DatasetError, match="cannot be compared"):
        compare_predictions(whole.part(np.arange(10), whole.classes), part)


def test_calibration_by_hand_and_at_its_best(predicted):
    predictions = predicted(hits=300)
    got = calibration(predictions, bins=10)
    sure, struck = predictions.probabilities.ravel().astype(float), predictions.targets.ravel()
    error = 0.0
    for low in range(10):
        inside = (np.minimum((sure * 10).astype(int), 9)) == low
        if inside.any():
            error += inside.sum() * abs(struck[inside].mean() - sure[inside].mean())
    assert got.ece == pytest.approx(error / len(sure))
    assert sum(row.pairs for row in got.bins) == len(sure)
    perfect = dataclasses.replace(predictions, probabilities=predictions.targets.astype(np.float32))
    assert calibration(perfect).ece == 0


def test_each_missed_component_is_counted_once_against_what_was_said_instead():
    targets = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0]], dtype=np.uint8)
    sure = np.array(
        [
            [0.1, 0.0, 0.0, 0.9],  # kick taken for ride_bow
            [0.1, 0.2, 0.7, 0.8],  # both missed, ride_bow the surest of two invented
            [0.0, 0.9, 0.9, 0.0],  # hihat right, snare invented: nothing missed
            [0.0, 0.4, 0.0, 0.0],  # snare missed, nothing said
        ],
        dtype=np.float32,
    )
    predictions = Predictions(
        ("kick", "snare", "hihat_closed", "ride_bow"), np.full(4, 0.5, np.float32), pl.DataFrame(), sure, targets
    )
    matrix = missed_as(predictions)
    assert matrix.tolist() == [[0, 0, 0, 2, 0], [0, 0, 0, 1, 1], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    told = confusion(predictions)
    assert told.pairs["kick and ride_bow"] == WatchedPair(first_as_second=2, second_as_first=0, struck=2, rate=1.0)
    assert told.pairs["hihat and snare"].struck == 3
    assert told.worst[0] == ConfusedPair(struck="kick", said="ride_bow", count=2, rate=1.0)
    assert told.invented == {"kick": 0, "snare": 1, "hihat_closed": 1, "ride_bow": 2}


def test_rows_of_the_confusion_sum_to_what_was_missed(predicted):
    predictions = predicted(skill=0.5)
    missed = (predictions.reference & ~predictions.predicted).sum(axis=0)
    assert (missed_as(predictions).sum(axis=1) == missed).all()
    assert np.trace(missed_as(predictions)[:, :-1]) == 0


def test_the_most_confident_mistakes_come_first_and_are_all_mistakes(predicted):
    predictions = predicted()
    rows = top_mistakes(predictions, 30)
    assert len(rows) == 30
    assert [row.confidence for row in rows] == sorted((row.confidence for row in rows), reverse=True)
    for row in rows:
        assert row.labels != row.said
        assert (row.component in row.said) == (row.kind == "invented")
        assert row.audio_path == f"{row.row % 20}.wav"
    perfect = dataclasses.replace(predictions, probabilities=predictions.targets.astype(np.float32))
    assert top_mistakes(perfect) == []


def test_a_breakdown_counts_every_hit_of_known_origin_once(predicted):
    predictions = predicted()
    got = breakdown(predictions)
    assert set(got) == {"source_set", "components", "velocity", "gap_before", "gap_after", "drummer"}  # no kit is known
    assert sum(row.hits for row in got["source_set"]) == 400
    assert sum(row.hits for row in got["components"]) == 400
    assert sum(row.hits for row in got["drummer"]) == 134
    assert [row.value for row in got["velocity"]] == ["ghost", "light", "medium", "accent"]
    solo = next(row for row in got["components"] if row.value == "1")
    assert solo.accuracy == pytest.approx(predictions.metrics().solo.accuracy)


def test_a_velocity_at_the_edge_of_a_bucket_is_in_it_as_everywhere_else(predicted):
    edges = [upper for _, upper in VELOCITY_BUCKETS]
    four = predicted(4, sessions=1)
    hits = four.hits.with_columns(velocities=pl.Series([[edge] for edge in edges], dtype=pl.List(pl.Float32)))
    got = breakdown(dataclasses.replace(four, hits=hits))["velocity"]
    assert {row.value: row.hits for row in got} == {velocity_bucket(edge): 1 for edge in edges}
    assert len(got) == 4


def test_every_hit_is_in_one_bucket_of_each_gap(predicted):
    gaps = np.array([0.0, 0.0599, 0.06, 0.1249, 0.125, 0.249, 0.25, 0.499, 0.5, 7.0])
    predictions = predicted(hits=12)
    hits = predictions.hits.with_columns(
        previous_gap=pl.Series([None, None, *gaps]), next_gap=pl.Series([*gaps, None, None])
    )
    got = breakdown(dataclasses.replace(predictions, hits=hits))
    for kind in ("gap_before", "gap_after"):
        assert [(row.value, row.hits) for row in got[kind]] == [(bucket, 2) for bucket in GAP_BUCKETS]
    assert len(GAP_BUCKETS) == len(GAPS_S) + 2
    whole = breakdown(predicted(hits=500))
    for kind in ("gap_before", "gap_after"):
        assert sum(row.hits for row in whole[kind]) == 500
        order = [row.value for row in whole[kind]]
        assert order == sorted(order, key=GAP_BUCKETS.index)
