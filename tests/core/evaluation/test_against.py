"""A run and its rivals: itself, the run before it, the champion, one that was asked for, one that cannot be asked."""

import dataclasses
import json
import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from beatsight_core.errors import ModelError
from beatsight_core.evaluation.compare_models import compare_predictions
from beatsight_core.evaluation.confusion import missed_as
from beatsight_core.evaluation.evaluate import evaluate, find_evaluation
from beatsight_core.evaluation.folder import METRICS, PREDICTIONS
from beatsight_core.evaluation.predictions import load_predictions
from beatsight_core.evaluation.rivals import previous_run
from beatsight_core.evaluation.slices import HitSelection
from beatsight_core.evaluation.stored import stored_predictions
from beatsight_core.evaluation.subject import features_for
from beatsight_core.files import sha256_file
from beatsight_core.progress import SilentProgress
from beatsight_core.runs.records import open_run


def compared(contest, run, *hits, **asked):
    return evaluate(contest.settings, run, *hits, compare=True, device="cpu", **asked)


FIGURES = ("accuracy", "exact_match", "macro_f1")


def changes(change):
    yield from (getattr(change, name) for name in FIGURES)
    yield from change.f1.values()


def asked(evaluation):
    """The result of an evaluation, and how many models it asked about clips."""
    heard = []
    result = evaluation(SilentProgress(lambda task, numbers: heard.append(task)))
    return result, heard.count("predict")


def test_a_run_against_itself_changes_nothing(contest):
    result = compared(contest, contest.later, against=contest.later)
    itself = result.content.against[0]
    assert itself.roles == ("asked for",)
    assert itself.same_data
    assert itself.change.confusions == itself.change.better == itself.change.worse == ()
    for row in changes(itself.change):
        assert row.difference in (0, None)
        assert row.low in (0, None)
        assert row.high in (0, None)
    page = (result.folder / "report.html").read_text()
    assert "Every pair was confused as often as before." in page


def test_the_run_before_and_the_champion_are_one_rival_where_they_are_the_same_model(contest):
    result = compared(contest, contest.later)
    (rival,) = result.content.against
    assert (rival.name, rival.roles) == (contest.champion, ("previous run", "champion"))
    before = compared(contest, contest.champion)
    assert before.content.against == ()  # nothing came before it, and it is the champion itself
    change = rival.change
    assert change.hits == result.metrics.hits
    for name in FIGURES:
        assert getattr(change, name).before == pytest.approx(getattr(before.metrics, name))
        assert getattr(change, name).after == pytest.approx(getattr(result.metrics, name))
    assert change.accuracy.high < 0
    assert change.worse
    page = (result.folder / "report.html").read_text()
    assert f"<bdi>{contest.champion}</bdi> <small>previous run and champion" in page
    assert "worse: " + ", ".join(change.worse) in page
    assert "There is no previous run" in (before.folder / "report.html").read_text()


def test_what_is_compared_with_makes_another_folder_and_the_first_stays_as_it_was(contest):
    first = compared(contest, contest.later)
    digests = {path: sha256_file(path) for path in first.folder.iterdir()}
    second = compared(contest, contest.later, against="v1")
    assert second.folder != first.folder
    assert second.metrics == first.metrics
    assert second.content.against[0].roles == ("asked for", "previous run", "champion")
    assert "<small>asked for, previous run and champion" in (second.folder / "report.html").read_text()
    assert {path: sha256_file(path) for path in first.folder.iterdir()} == digests
    assert compared(contest, contest.later).reused


def test_what_gates_rest_on_does_not_depend_on_who_is_champion(contest):
    run = open_run(contest.settings, contest.later)
    first = compared(contest, contest.later, against=contest.later)
    compared(contest, contest.later)
    assert find_evaluation(contest.settings, run) == first.folder
    alone = evaluate(contest.settings, contest.later, device="cpu")
    assert find_evaluation(contest.settings, run) == alone.folder
    assert alone.content.against == alone.content.compared_with == ()
    beside = compared(contest, contest.later)
    assert beside.folder != alone.folder
    assert beside.metrics == alone.metrics
    (contest.settings.models_dir / "champion.json").unlink()
    assert evaluate(contest.settings, contest.later, device="cpu").reused
    assert not compared(contest, contest.later).reused  # the run before it is no longer the champion too


def test_a_rival_is_not_asked_again_what_an_evaluation_of_it_tells(contest):
    compared(contest, contest.champion)
    part, models = asked(
        lambda progress: compared(contest, contest.later, HitSelection(fraction=0.5), progress=progress)
    )
    assert models == 1
    assert part.content.against[0].change.hits == part.metrics.hits
    again, models = asked(
        lambda progress: compared(contest, contest.later, HitSelection(split="all"), progress=progress)
    )
    assert models == 2
    assert again.content.against[0].change.hits == 420


def test_predictions_that_were_altered_are_not_used_again(contest):
    run = open_run(contest.settings, contest.champion)
    made = compared(contest, contest.champion)
    features = features_for(contest.settings, run, run.key)
    rows = features.rows_of("val")[::-1]
    answers = {name: made.content.digests[name] for name in ("checkpoint", "thresholds")}
    found = stored_predictions(contest.settings, run.run_id, answers, features, rows)
    assert found.hits["hit_id"].to_list() == features.meta["hit_id"].gather(rows).to_list()
    assert (found.targets == features.targets[rows]).all()
    assert stored_predictions(contest.settings, run.run_id, answers | {"checkpoint": "0"}, features, rows) is None
    assert stored_predictions(contest.settings, run.run_id, answers, features, np.arange(len(features))) is None
    stored = load_predictions(made.folder / PREDICTIONS)
    dataclasses.replace(stored, probabilities=1 - stored.probabilities).save(made.folder / PREDICTIONS)
    assert stored_predictions(contest.settings, run.run_id, answers, features, rows) is None


def test_a_rival_that_hears_other_features_is_named_with_the_reason(contest):
    path = contest.settings.run_root / contest.champion / "config.json"
    config = json.loads(path.read_text())
    config["spec"]["f_max_hz"] = 3000.0
    path.write_text(json.dumps(config))
    rivals = compared(contest, contest.later, HitSelection(split="all")).content.against
    previous = next(rival for rival in rivals if rival.name == contest.champion)
    assert previous.change is None
    assert "hears other features" in previous.why_not
    with pytest.raises(ModelError, match="hears other features"):
        compared(contest, contest.later, HitSelection(split="all"), against=contest.champion)


def test_a_rival_of_other_components_is_compared_on_those_that_both_know(contest):
    folder = contest.settings.run_root / contest.champion
    for name in ("config.json", "thresholds.json"):
        file = folder / name
        file.write_text(file.read_text().replace('"aux_percussion"', '"cowbell"'))
    rivals = compared(contest, contest.later, HitSelection(split="all")).content.against
    change = next(rival for rival in rivals if rival.name == contest.champion).change
    assert change.hits == 420
    assert len(change.f1) == 17
    assert not {"cowbell", "aux_percussion"} & set(change.f1)


def test_a_broken_rival_is_left_out_with_a_warning_unless_it_was_asked_for(contest, caplog):
    weights = contest.settings.models_dir / "versions" / "1" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with caplog.at_level(logging.WARNING, logger="beatsight"):
        rivals = compared(contest, contest.later).content.against
    assert [rival.roles for rival in rivals] == [("previous run",)]
    assert "not compared with the champion" in caplog.text
    with pytest.raises(ModelError, match="broken"):
        compared(contest, contest.later, against="champion")
    with pytest.raises(ModelError, match="no run"):
        compared(contest, contest.later, against="nobody")


def test_the_run_before_is_of_the_same_preset_and_manifest_or_of_its_earlier_state(contest):
    settings, later = contest.settings, open_run(contest.settings, contest.later)
    assert previous_run(settings, later).run_id == contest.champion
    assert previous_run(settings, open_run(settings, contest.champion)) is None
    config = settings.run_root / contest.champion / "config.json"
    original = json.loads(config.read_text())
    for value, found in (("tiny-00000000", True), ("other-00000000", False)):
        config.write_text(json.dumps(original | {"key": value}))
        assert (previous_run(settings, later) is not None) == found
    config.write_text(json.dumps(original | {"preset": "baseline"}))
    assert previous_run(settings, later) is None


def test_every_confusion_that_grew_or_shrank_is_counted(predicted):
    before = predicted(hits=600, skill=0.6)
    sure = before.probabilities.copy()
    kicks = np.flatnonzero(before.reference[:, 0] & ~before.reference[:, 3])
    sure[kicks] = [0.1, 0.1, 0.1, 0.9]  # every kick is now a ride_bow
    after = dataclasses.replace(before, probabilities=sure)
    change = compare_predictions(before, after)
    difference = missed_as(after) - missed_as(before)
    names = (*before.classes, "nothing")
    assert {(row.struck, row.said): row.difference for row in change.confusions} == {
        (names[row], names[column]): difference[row, column]
        for row, column in zip(*np.nonzero(difference), strict=True)
    }
    first = change.confusions[0]
    assert (first.struck, first.said) == ("kick", "ride_bow")
    assert first.rate_after - first.rate_before == pytest.approx(first.difference / before.reference[:, 0].sum())
    assert first.low > 0
    assert change.worse == ("kick", "snare", "hihat_closed", "ride_bow")
    assert change.pairs["kick and ride_bow"].after.first_as_second == len(kicks)


@given(st.integers(0, 50), st.floats(0.2, 3), st.floats(0.2, 3))
@hypothesis_settings(max_examples=15, deadline=None)
def test_comparing_backwards_turns_every_sign(predicted, seed, one, other):
    before, after = (predicted(hits=80, sessions=5, seed=seed, skill=skill) for skill in (one, other))
    after = dataclasses.replace(after, targets=before.targets)
    there, back = compare_predictions(before, after), compare_predictions(after, before)
    for forth, reverse in zip(changes(there), changes(back), strict=True):
        assert forth.difference == pytest.approx(-reverse.difference)
    assert there.better == back.worse
    rows = {(row.struck, row.said): row.difference for row in there.confusions}
    assert rows == {(row.struck, row.said): -row.difference for row in back.confusions}


def test_the_metrics_file_tells_whom_it_was_compared_with(contest):
    folder = compared(contest, contest.later).folder
    written = json.loads((folder / METRICS).read_text())
    assert [rival["name"] for rival in written["compared_with"]] == [contest.champion]
    assert written["compared_with"][0]["checkpoint"] == sha256_file(
        open_run(contest.settings, contest.champion).checkpoint
    )
