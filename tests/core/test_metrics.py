import dataclasses
import math
import warnings

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from beatsight_core.metrics import (
    Metrics,
    Scores,
    TradeOff,
    average_precision,
    binary_cross_entropy,
    multilabel_metrics,
    precision_recall,
    predicted_components,
)
from beatsight_core.typed_json import from_json, to_json

CLASSES = ["kick", "snare", "hihat_closed", "crash", "china"]
THRESHOLDS = np.array([0.5, 0.4, 0.6, 0.3, 0.5])


def random_case(seed, hits=400, *, ties=False):
    rng = np.random.default_rng(seed)
    targets = (rng.random((hits, 5)) < [0.4, 0.3, 0.5, 0.1, 0.0]).astype(np.uint8)
    noise = rng.normal(0, 1.5, (hits, 5))
    probabilities = 1 / (1 + np.exp(-(2 * targets - 1 + noise)))
    return (np.round(probabilities, 1) if ties else probabilities), targets


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_the_numbers_are_those_of_scikit_learn(seed, ties):
    probabilities, targets = random_case(seed, ties=ties)
    said = probabilities >= THRESHOLDS
    got = multilabel_metrics(probabilities, targets, THRESHOLDS, CLASSES)

    clipped = np.clip(probabilities, 1e-7, 1 - 1e-7)
    assert got.loss == pytest.approx(reference.log_loss(targets.ravel(), clipped.ravel()), rel=1e-9)
    assert got.accuracy == pytest.approx(reference.f1_score(targets, said, average="micro", zero_division=0))
    assert got.exact_match == pytest.approx(reference.accuracy_score(targets, said))
    f1 = reference.f1_score(targets[:, :4], said[:, :4], average=None)
    ap = [reference.average_precision_score(targets[:, c], probabilities[:, c]) for c in range(4)]
    for column, label in enumerate(CLASSES[:4]):
        scores = got.per_class[label]
        assert scores.f1 == pytest.approx(f1[column])
        assert scores.ap == pytest.approx(ap[column], rel=1e-9)
        assert scores.precision == pytest.approx(reference.precision_score(targets[:, column], said[:, column]))
        assert scores.recall == pytest.approx(reference.recall_score(targets[:, column], said[:, column]))
        assert scores.positives == targets[:, column].sum()
    assert got.macro_f1 == pytest.approx(f1.mean())
    assert got.macro_ap == pytest.approx(np.mean(ap))
    assert got.per_class["china"].averaged is False
    labelled = targets.any(axis=1)
    top1 = targets[np.arange(len(targets)), probabilities.argmax(axis=1)][labelled].mean()
    assert got.top1_in_set == pytest.approx(top1)


def test_solo_and_simultaneous_are_the_same_block_on_those_hits():
    probabilities, targets = random_case(5)
    got = multilabel_metrics(probabilities, targets, THRESHOLDS, CLASSES)
    sizes = targets.sum(axis=1)
    for name, chosen in (("solo", sizes == 1), ("simultaneous", sizes > 1)):
        alone = multilabel_metrics(probabilities[chosen], targets[chosen], THRESHOLDS, CLASSES)
        part = getattr(got, name)
        assert part == Scores(**{field.name: getattr(alone, field.name) for field in dataclasses.fields(Scores)})
    assert got.solo.hits + got.simultaneous.hits + int((sizes == 0).sum()) == got.hits


def test_legacy_view_explodes_hits_into_single_label_rows():
    probabilities, targets = random_case(7)
    rows = [(row, column) for row in range(len(targets)) for column in range(5) if targets[row, column]]
    right = sum(probabilities[row].argmax() == column for row, column in rows)
    got = multilabel_metrics(probabilities, targets, THRESHOLDS, CLASSES)
    assert got.legacy_accuracy == pytest.approx(right / len(rows))
    # An oracle that names one struck component per hit reaches the ceiling, and nothing can do better.
    oracle = multilabel_metrics(targets.astype(float), targets, 0.5, CLASSES)
    assert oracle.legacy_accuracy == pytest.approx(oracle.legacy_ceiling) == got.legacy_ceiling
    assert oracle.accuracy == oracle.exact_match == oracle.top1_in_set == oracle.macro_f1 == 1.0


def test_accuracy_is_plain_accuracy_when_each_hit_has_one_component_and_one_is_said():
    rng = np.random.default_rng(3)
    truth, answer = rng.integers(0, 5, 200), rng.integers(0, 5, 200)
    got = multilabel_metrics(np.eye(5)[answer], np.eye(5)[truth], 0.5, CLASSES)
    assert got.accuracy == pytest.approx((truth == answer).mean()) == got.exact_match == got.legacy_accuracy


def test_rare_classes_are_shown_and_not_averaged():
    probabilities, targets = random_case(1)
    targets[:, 4] = 0
    targets[:19, 4] = 1
    got = multilabel_metrics(probabilities, targets, THRESHOLDS, CLASSES)
    assert got.per_class["china"].positives == 19
    assert got.per_class["china"].f1 is not None
    assert got.per_class["china"].averaged is False
    assert got.macro_f1 == pytest.approx(np.mean([got.per_class[label].f1 for label in CLASSES[:4]]))


def test_what_the_data_leave_undefined_is_null():
    got = multilabel_metrics(np.zeros((0, 5)), np.zeros((0, 5)), THRESHOLDS, CLASSES)
    assert got.hits == 0
    for name in ("loss", "accuracy", "exact_match", "top1_in_set", "macro_f1", "macro_ap", "legacy_accuracy"):
        assert getattr(got, name) is None
    silent = multilabel_metrics(np.zeros((3, 5)), np.zeros((3, 5)), THRESHOLDS, CLASSES)
    assert silent.exact_match == 1.0
    assert silent.accuracy is None
    assert silent.per_class["kick"].recall is None


def test_certain_and_wrong_costs_much_and_stays_finite():
    assert binary_cross_entropy([[1.0, 0.0]], [[0, 1]]) == pytest.approx(-math.log(1e-7), rel=1e-6)
    assert binary_cross_entropy(np.array([[1.0, 0.0]], dtype=np.float32), [[1, 0]]) == pytest.approx(1e-7, rel=1e-3)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.sampled_from([np.float32, np.float64]))
@hypothesis_settings(max_examples=40, deadline=None)
def test_any_predictions_give_json_safe_numbers_in_range(seed, hits, kind):
    rng = np.random.default_rng(seed)
    probabilities = np.round(rng.random((hits, 5)), int(rng.integers(0, 4))).astype(kind)
    targets = rng.random((hits, 5)) < rng.random()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = multilabel_metrics(probabilities, targets, THRESHOLDS, CLASSES, min_positives=1)
    assert from_json(Metrics, orjson.loads(orjson.dumps(to_json(got)))) == got
    shares = [
        getattr(got, k) for k in ("accuracy", "exact_match", "top1_in_set", "macro_f1", "macro_ap", "legacy_accuracy")
    ]
    assert all(share is None or 0 <= share <= 1 for share in shares)
    assert got.loss >= 0
    for column, scores in enumerate(got.per_class.values()):
        if targets[:, column].any():
            expected = reference.average_precision_score(targets[:, column], probabilities[:, column])
            assert scores.ap == pytest.approx(expected)
            assert scores.ap == pytest.approx(average_precision(probabilities[:, column], targets[:, column]))


def test_a_threshold_tuned_to_a_single_precision_probability_still_says_it():
    probability = np.float32(0.3)
    assert predicted_components(np.array([[probability]]), [float(probability)]).all()
    assert predicted_components(np.array([[probability]]), [0.3]).all()


@pytest.mark.parametrize(
    ("probabilities", "targets"),
    [
        (np.zeros((3, 4)), np.zeros((3, 4))),
        (np.zeros((3, 5)), np.zeros((2, 5))),
        (np.full((3, 5), np.nan), np.zeros((3, 5))),
        (np.full((3, 5), 1.5), np.zeros((3, 5))),
    ],
)
def test_wrong_input_is_refused(probabilities, targets):
    with pytest.raises(ValueError, match="probabilities"):
        multilabel_metrics(probabilities, targets, THRESHOLDS, CLASSES)


@pytest.mark.parametrize("ties", [False, True])
def test_the_curve_of_precision_and_recall_lies_on_that_of_scikit_learn(ties):
    probabilities, targets = random_case(7, ties=ties)
    precision, recall, thresholds = reference.precision_recall_curve(targets[:, 1], probabilities[:, 1])
    known = dict(zip(thresholds, zip(precision, recall, strict=False), strict=False))
    found = precision_recall(probabilities[:, 1], targets[:, 1], points=20)
    assert 3 <= len(found.threshold) <= 20
    assert found.recall == tuple(sorted(found.recall))
    assert found.recall[-1] == 1.0
    for threshold, at_precision, at_recall in zip(*(found.threshold, found.precision, found.recall),
                                                  strict=True):  # fmt: skip
        assert (at_precision, at_recall) == pytest.approx(known[threshold])
    assert precision_recall(probabilities[:, 4], targets[:, 4]) == TradeOff()
