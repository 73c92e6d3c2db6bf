"""Beginning afresh loses nothing: what was there stays in the list, and a model's run is not taken from it."""

import shutil

import pytest

from beatsight_core.errors import GateError, UsageError
from beatsight_core.evaluation.evaluate import evaluate
from beatsight_core.files import read_json, sha256_file, write_json
from beatsight_core.promotion.judge import is_version_of
from beatsight_core.runs import records
from beatsight_core.runs.records import how_to_finish, list_runs, open_run
from beatsight_core.runs.roles import find_challenger
from beatsight_core.training import afresh
from beatsight_core.training.afresh import begin_afresh, settle_evaluations, versions_of
from beatsight_core.training.tracking.tracking import _order


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def run(trained):
    """Settings and the finished run of a data root."""
    settings, run_id = trained
    return settings, open_run(settings, run_id)


def make_version(settings, run, number=1, **about):
    """A version that says that it came of a run, as far as it is looked at here."""
    said = {"run_id": run.run_id, "digests": {"checkpoint": sha256_file(run.checkpoint)}, **about}
    write_json(settings.models_dir / "versions" / str(number) / "version.json", said)


def unfinished(run):
    (run.folder / records.METRICS).unlink()
    return run.folder


def test_a_finished_run_is_kept_whole_and_listed_under_another_name(run):
    settings, old = run
    before, evaluation = contents(old.folder), evaluate(settings, old.run_id, device="cpu").folder
    reports = contents(evaluation.parent)
    begin_afresh(settings, old.folder)
    assert not old.folder.exists()
    (kept,) = list_runs(settings)
    assert (kept.run_id, kept.trained_as, kept.status) == (f"{old.run_id}-earlier-1", old.run_id, "finished")
    after = contents(kept.folder)
    note = afresh.ASIDE
    assert read_json(kept.folder / note)["run_id"] == old.run_id
    assert {name: data for name, data in after.items() if name != note} == before
    assert contents(settings.metrics_dir / kept.run_id) == reports
    assert not evaluation.parent.exists()
    assert evaluate(settings, kept.run_id, device="cpu").to_json()["run_id"] == kept.run_id


def test_the_second_and_the_tenth_have_names_of_their_own(run):
    settings, old = run
    for number in range(1, 12):
        copy = old.folder.with_name(".copy")
        shutil.copytree(old.folder, copy)
        begin_afresh(settings, old.folder)
        copy.rename(old.folder)
        assert records.earlier_runs(old.folder) == list(range(1, number + 1))
    shutil.rmtree(old.folder.with_name(f"{old.run_id}-earlier-3"))
    begin_afresh(settings, old.folder)
    assert old.folder.with_name(f"{old.run_id}-earlier-12").is_dir()


def test_a_beginning_of_an_id_means_the_run_and_not_what_was_put_aside(run):
    settings, old = run
    copy = old.folder.with_name(".copy")
    shutil.copytree(old.folder, copy)
    begin_afresh(settings, old.folder)
    assert open_run(settings, "warmup").run_id == f"{old.run_id}-earlier-1"  # there is no other yet
    copy.rename(old.folder)
    for name in ("warmup", old.run_id, old.run_id[:-2]):
        assert open_run(settings, name).run_id == old.run_id
    assert open_run(settings, f"{old.run_id}-e").run_id == f"{old.run_id}-earlier-1"


def test_one_that_was_stopped_is_kept_too_and_says_how_it_goes_on(run):
    settings, old = run
    begin_afresh(settings, unfinished(old))
    (kept,) = list_runs(settings)
    assert kept.status == "unfinished"
    assert how_to_finish(kept) == f"it was put aside; it goes on once its folder is {old.run_id} again"


def test_one_without_a_checkpoint_leaves_nothing(run):
    settings, old = run
    shutil.rmtree(unfinished(old) / records.CHECKPOINTS)
    begin_afresh(settings, old.folder)
    assert list(settings.run_root.glob("[!.]*")) == []
    begin_afresh(settings, old.folder)  # and there need not be one


@pytest.mark.parametrize("status", ["finished", "unfinished"])
def test_the_run_of_a_version_is_refused(run, status):
    settings, old = run
    make_version(settings, old, 2)
    make_version(settings, old, 10)
    if status == "unfinished":
        unfinished(old)
    before = contents(old.folder)
    with pytest.raises(GateError, match="as version 2 and version 10 came of it") as caught:
        begin_afresh(settings, old.folder)
    assert "--override-version REASON (in Dagster override_version)" in str(caught.value)
    with pytest.raises(UsageError, match="blank"):
        begin_afresh(settings, old.folder, "  ")
    assert contents(old.folder) == before


def test_a_reason_in_words_puts_it_aside_and_stays_with_it(run):
    settings, old = run
    make_version(settings, old)
    begin_afresh(settings, old.folder, "the seed was wrong")
    (kept,) = list_runs(settings)
    said = read_json(kept.folder / afresh.ASIDE)
    assert (said["why"], said["versions"], said["run_id"]) == ("the seed was wrong", ["version 1"], old.run_id)
    assert {"at", "user", "host"} <= set(said)
    assert is_version_of(settings, 1, kept)  # the version's run is found by its weights


@pytest.mark.parametrize(
    ("about", "names_it"),
    [
        ({}, True),
        ({"digests": {"checkpoint": "0" * 64}}, False),  # of an earlier run of that id, which was put aside
        ({"run_id": "warmup-other-11111111-22222222"}, False),
        ({"digests": None}, True),  # it does not say any more
        ({"run_id": None, "digests": {}}, True),
    ],
)
def test_a_version_names_the_run_by_its_weights_or_if_nobody_can_tell(run, about, names_it):
    settings, old = run
    make_version(settings, old, **about)
    assert list(versions_of(settings, old.folder)) == (["version 1"] if names_it else [])


def test_a_damaged_version_is_known_by_what_goes_with_its_weights(run):
    settings, old = run
    make_version(settings, old)
    folder = settings.models_dir / "versions" / "1"
    (folder / "version.json").write_text("{")
    assert list(versions_of(settings, old.folder)) == ["version 1"]
    write_json(folder / "config.json", {"run_id": old.run_id})
    assert list(versions_of(settings, old.folder)) == ["version 1"]
    write_json(folder / "config.json", {"run_id": "warmup-other-11111111-22222222"})
    assert list(versions_of(settings, old.folder)) == []


def test_a_champion_whose_folder_is_gone_counts_as_well(run):
    settings, old = run
    pointer = settings.models_dir / "champion.json"
    write_json(pointer, {"version": 4, "history": [{"version": 4, "run_id": old.run_id}]})
    with pytest.raises(GateError, match="the champion, version 4, whose folder is gone"):
        begin_afresh(settings, old.folder)
    write_json(pointer, {"version": 4, "history": [{"version": 4, "run_id": "warmup-other-11111111-22222222"}]})
    begin_afresh(settings, old.folder)


def test_evaluations_follow_where_a_kill_came_between(run, monkeypatch):
    settings, old = run
    reports = evaluate(settings, old.run_id, device="cpu").folder.parent
    monkeypatch.setattr(afresh, "settle_evaluations", lambda *arguments: None)
    begin_afresh(settings, old.folder)
    assert reports.is_dir()
    settle_evaluations(settings, old.folder)
    assert not reports.exists()
    assert any((settings.metrics_dir / f"{old.run_id}-earlier-1").iterdir())


def test_evaluations_of_a_finished_run_stay_with_it(run):
    settings, old = run
    copy = old.folder.with_name(".copy")
    shutil.copytree(old.folder, copy)
    begin_afresh(settings, old.folder)
    copy.rename(old.folder)
    reports = evaluate(settings, old.run_id, device="cpu").folder.parent
    settle_evaluations(settings, old.folder)
    assert reports.is_dir()


def test_a_run_that_was_put_aside_after_it_became_a_version_is_no_challenger(run):
    settings, old = run
    record = {
        "criteria": [],
        "passed": True,
        "digests": {"checkpoint": sha256_file(old.checkpoint)},
        "made": {"at": "x"},
    }
    write_json(old.folder / "gates" / "promotion.json", record)
    assert find_challenger(settings) is not None
    make_version(settings, old)
    assert find_challenger(settings) is None
    begin_afresh(settings, old.folder, "why not")
    assert find_challenger(settings) is None


def test_tracking_gets_a_name_of_its_own(run):
    settings, old = run
    identity = read_json(old.folder / records.CONFIG)
    assert _order(settings, old.folder, identity).id == old.run_id
    copy = old.folder.with_name(".copy")
    shutil.copytree(old.folder, copy)
    begin_afresh(settings, old.folder)
    copy.rename(old.folder)
    assert _order(settings, old.folder, identity).name == f"{old.run_id}-afresh-1"
    assert old.run_id not in (
        _order(settings, old.folder, identity).id,
        _order(settings, old.folder, identity).name,
    )
