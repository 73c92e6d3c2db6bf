"""Every number that an evaluation writes, made again by scikit-learn from the predictions lying beside it."""

import json
import math

import numpy as np
import pytest
from sklearn import metrics as reference
from sklearn.calibration import calibration_curve

from beatsight_core.evaluation.evaluate import evaluate
from beatsight_core.evaluation.predictions import load_predictions
from beatsight_core.metrics import CLIP
from beatsight_core.taxonomy import MIN_POSITIVES


def defined(value):
    return None if math.isnan(value) else float(value)


def mean(values):
    return float(np.mean(values)) if values else None


def block(sure, struck, said, classes):
    """The figures of some hits."""
    labelled = struck.any(axis=1)
    per_class = {}
    for column, label in enumerate(classes):
        truth, told = struck[:, column], said[:, column]
        positives = int(truth.sum())
        per_class[label] = {
            **{
                name: defined(score(truth, told, zero_division=np.nan))
                for name, score in (
                    ("precision", reference.precision_score),
                    ("recall", reference.recall_score),
                    ("f1", reference.f1_score),
                )
            },
            "ap": float(reference.average_precision_score(truth, sure[:, column])) if positives else None,
            "positives": positives,
            "averaged": positives >= MIN_POSITIVES,
        }
    averaged = [scores for scores in per_class.values() if scores["averaged"]]
    surest = np.eye(len(classes), dtype=bool)[sure.argmax(axis=1)]
    clipped = np.clip(sure.astype(np.float64), CLIP, 1 - CLIP)
    return {
        "hits": len(sure),
        "loss": float(reference.log_loss(struck.ravel(), clipped.ravel(), labels=[0, 1])),
        "accuracy": float(reference.f1_score(struck, said, average="micro", zero_division=np.nan)),
        "exact_match": float(reference.accuracy_score(struck, said)),
        "top1_in_set": float(
            reference.precision_score(struck[labelled], surest[labelled], average="micro", zero_division=np.nan)
        ),
        "macro_f1": mean([scores["f1"] for scores in averaged]),
        "macro_ap": mean([scores["ap"] for scores in averaged]),
        "per_class": per_class,
    }


def legacy(sure, struck):
    """One row per struck component, one answer per hit."""
    rows, truth = np.nonzero(struck)
    answers = sure.argmax(axis=1)
    possible = struck.argmax(axis=1)  # any one of the struck components
    return {
        "legacy_accuracy": float(reference.accuracy_score(truth, answers[rows])),
        "legacy_ceiling": float(reference.accuracy_score(truth, possible[rows])),
    }


def leaves(value, name=""):
    if isinstance(value, dict):
        for key, part in value.items():
            yield from leaves(part, f"{name}.{key}")
    else:
        yield name, value


def assert_same(found, expected):
    """Equal names, equal numbers; what is undefined is so in both."""
    found, expected = dict(leaves(found)), dict(leaves(expected))
    assert found.keys() == expected.keys()
    assert {name for name, value in found.items() if value is None} == {
        name for name, value in expected.items() if value is None
    }
    numbers = {name: value for name, value in expected.items() if value is not None}
    assert {name: found[name] for name in numbers} == pytest.approx(numbers, rel=1e-6, abs=1e-9)


@pytest.fixture(params=["champion", "later"])
def evaluated(contest, request):
    """What the files of an evaluation say: metrics.json, confusion.json, predictions.parquet."""
    folder = evaluate(contest.settings, getattr(contest, request.param), device="cpu").folder
    read = (json.loads((folder / name).read_text()) for name in ("metrics.json", "confusion.json"))
    return *read, load_predictions(folder / "predictions.parquet")


def test_every_metric_is_that_of_scikit_learn(evaluated):
    content, _, stored = evaluated
    sure, struck, said = stored.probabilities, stored.reference, stored.predicted
    sizes = struck.sum(axis=1)
    expected = {
        **block(sure, struck, said, stored.classes),
        **{
            name: block(sure[rows], struck[rows], said[rows], stored.classes)
            for name, rows in (("solo", sizes == 1), ("simultaneous", sizes > 1))
        },
        **legacy(sure, struck),
        "min_positives": MIN_POSITIVES,
    }
    assert_same(content["metrics"], expected)


def test_every_interval_is_around_the_number_of_scikit_learn(evaluated):
    content, _, stored = evaluated
    expected = block(stored.probabilities, stored.reference, stored.predicted, stored.classes)
    for name in ("accuracy", "exact_match", "top1_in_set", "macro_f1", "macro_ap", "loss"):
        assert content["intervals"][name]["value"] == pytest.approx(expected[name])
    for name in ("precision", "recall", "f1", "ap"):
        values = {label: row["value"] for label, row in content["intervals"][name].items()}
        assert_same(values, {label: row[name] for label, row in expected["per_class"].items()})


def test_groups_and_confusions_add_up_to_what_scikit_learn_counts(evaluated):
    content, told, stored = evaluated
    counted = reference.multilabel_confusion_matrix(stored.reference, stored.predicted)
    missed, invented = counted[:, 1, 0], counted[:, 0, 1]
    assert np.array(told["matrix"]).sum(axis=1).tolist() == missed.tolist()
    assert list(told["invented"].values()) == [invented[stored.classes.index(label)] for label in told["invented"]]
    sizes = stored.reference.sum(axis=1)
    for row in content["breakdown"]["components"]:
        rows = sizes == int(row["value"])
        if rows.any() and int(row["value"]):
            part = block(stored.probabilities[rows], stored.reference[rows], stored.predicted[rows], stored.classes)
            names = ("hits", "accuracy", "exact_match", "macro_f1")
            assert_same({name: row[name] for name in names}, {name: part[name] for name in names})


def test_the_reliability_curve_is_that_of_scikit_learn(evaluated):
    content, _, stored = evaluated
    sure, struck = stored.probabilities.astype(np.float64).ravel(), stored.reference.ravel()
    share, probability = calibration_curve(struck, sure, n_bins=15, strategy="uniform")
    filled = [row for row in content["calibration"]["bins"] if row["pairs"]]
    assert [row["share_struck"] for row in filled] == pytest.approx(share)
    assert [row["mean_probability"] for row in filled] == pytest.approx(probability)
    weights = np.array([row["pairs"] for row in filled]) / sure.size
    assert content["calibration"]["ece"] == pytest.approx(float(weights @ np.abs(share - probability)))
