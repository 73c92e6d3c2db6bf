"""The keys of an evaluation's files stay: scripts and records of earlier versions rest on them."""

import dataclasses

import pytest

from beatsight_core.evaluation.bootstrap import bootstrap_intervals
from beatsight_core.evaluation.breakdown import breakdown
from beatsight_core.evaluation.calibration import calibration
from beatsight_core.evaluation.compare_models import RivalComparison, compare_predictions
from beatsight_core.evaluation.confusion import confusion
from beatsight_core.evaluation.evaluation_content import Evaluation, LabelErrorCount
from beatsight_core.evaluation.folder import LabelErrorsFile, MistakesFile
from beatsight_core.evaluation.label_errors import LikelyError, Statement
from beatsight_core.evaluation.mistakes import top_mistakes
from beatsight_core.evaluation.subject import RivalIdentity
from beatsight_core.typed_json import from_json, to_json

SCORES = "hits loss accuracy exact_match top1_in_set macro_f1 macro_ap per_class"
INTERVALS = "sessions resamples seed confidence accuracy exact_match top1_in_set macro_f1 macro_ap loss f1 precision"
CHANGES = "hits sessions accuracy exact_match top1_in_set macro_f1 macro_ap loss f1 precision recall ap better worse"
MISTAKE = (
    "row hit_id session_id source_set audio_path onset_time labels said component kind probability confidence "
    "probabilities"
)


def names(kind) -> str:
    return " ".join(field.name for field in dataclasses.fields(kind))


def keys(value: dict) -> str:
    return " ".join(value)


def test_figures_are_written_under_the_keys_of_the_first_format(predicted):
    predictions = predicted()
    metrics = to_json(predictions.metrics())
    assert keys(metrics) == f"{SCORES} solo simultaneous legacy_accuracy legacy_ceiling min_positives"
    assert keys(metrics["solo"]) == keys(metrics["simultaneous"]) == SCORES
    assert keys(metrics["per_class"]["kick"]) == "precision recall f1 ap positives averaged"
    intervals = to_json(bootstrap_intervals(predictions, resamples=5))
    assert keys(intervals) == f"{INTERVALS} recall ap"
    assert keys(intervals["accuracy"]) == keys(intervals["ap"]["kick"]) == "value low high"
    calibrated = to_json(calibration(predictions))
    assert keys(calibrated) == "ece ece_per_class bins"
    assert keys(calibrated["bins"][0]) == "low high pairs mean_probability share_struck"
    confused = to_json(confusion(predictions))
    assert keys(confused) == "classes columns matrix struck invented pairs worst"
    assert keys(confused["pairs"]["kick and ride_bow"]) == "first_as_second second_as_first struck rate"
    assert keys(confused["worst"][0]) == "struck said count rate"
    assert keys(to_json(top_mistakes(predictions)[0])) == MISTAKE
    group = breakdown(predictions)["source_set"][0]
    assert keys(to_json(group)) == "value hits sessions accuracy exact_match macro_f1"


def test_comparisons_are_written_under_the_keys_of_the_first_format(predicted):
    change = to_json(compare_predictions(predicted(skill=1.0), predicted(), resamples=5))
    assert keys(change) == f"{CHANGES} pairs confusions"
    assert keys(change["accuracy"]) == keys(change["f1"]["kick"]) == "before after difference low high"
    assert keys(change["pairs"]["kick and ride_bow"]) == "before after"
    shown = "struck said before after difference rate_before rate_after low high"
    assert keys(change["confusions"][0]) == shown
    assert names(RivalComparison) == "roles name same_data change why_not"
    assert names(RivalIdentity) == "roles name checkpoint thresholds"


def test_files_have_the_keys_of_the_first_format():
    assert names(Evaluation) == (
        "format run_id preset trained_on on split fraction seed classes thresholds digests compared_with evaluation_id "
        "made_at against metrics intervals calibration breakdown pairs learned_hits label_errors curves"
    )
    assert names(LabelErrorCount) == "confident checkpoints asked suspects"
    assert names(LabelErrorsFile) == "run_id evaluation_id on split confident checkpoints asked suspects"
    assert names(LikelyError) == f"{MISTAKE} statements suggested"
    assert names(Statement) == "component kind confidence"
    assert names(MistakesFile) == "run_id mistakes by_class"


@pytest.mark.parametrize("lacking", ["format", "compared_with", "against", "learned_hits", "label_errors", "curves"])
def test_an_evaluation_of_an_earlier_format_is_read(predicted, lacking):
    predictions = predicted(hits=60)
    content = {
        "format": 2, "run_id": "warmup-a", "preset": "warmup", "trained_on": "a-1", "on": "a-1", "split": "val",
        "fraction": None, "seed": 1337, "classes": list(predictions.classes), "evaluation_id": "val-1",
        "thresholds": dict.fromkeys(predictions.classes, 0.5), "digests": {"checkpoint": "0"}, "compared_with": [],
        "made_at": "2026-01-01T00:00:00+00:00", "against": [], "metrics": to_json(predictions.metrics()),
        "intervals": to_json(bootstrap_intervals(predictions, resamples=5)), "breakdown": {},
        "calibration": to_json(calibration(predictions)), "pairs": to_json(confusion(predictions))["pairs"],
        "learned_hits": 0, "label_errors": {"confident": 0.9, "checkpoints": {}, "asked": 0, "suspects": 0},
        "curves": [{"name": "finite", "passed": True, "value": 0.0, "limit": 0.0, "details": [{"epoch": 1}]}],
    }  # fmt: skip
    whole = from_json(Evaluation, content)
    assert to_json(whole) == {name: content[name] for name in to_json(whole)}
    del content[lacking]
    assert from_json(Evaluation, content).metrics == predictions.metrics()
