import csv
import dataclasses
import hashlib
import io
import json
import shutil

import pytest

from beatsight_core.dataset.index import indexes_folder
from beatsight_core.errors import ModelError, UsageError
from beatsight_core.files import write_json
from beatsight_core.names import file_name
from beatsight_core.promotion.archive.archive_sources import history_csv
from beatsight_core.promotion.archive.check_archive import check_archive, check_archives
from beatsight_core.promotion.archive.write_archive import archive_run
from beatsight_core.promotion.external.status_pages import BEGIN, END
from beatsight_core.promotion.promote import apply_pending
from beatsight_core.runs.records import open_run


def test_the_champions_run_is_archived_with_all_that_led_to_it(released):
    settings = released.settings
    result = archive_run(settings)
    assert result.run_id == released.second.run_id
    assert result.folder.parent.parent == settings.archive_dir
    assert len(result.folder.parent.name) == 8
    names = {path.relative_to(result.folder).as_posix() for path in result.folder.rglob("*") if path.is_file()}
    evaluation = f"evaluation/{json.loads((result.folder / 'gate.json').read_text())['evaluation_id']}"
    assert {
        "run/config.json", "run/environment.json", "run/history.jsonl", "run/history.csv", "run/metrics.json",
        "run/thresholds.json", "gate.json", "dataset/tiny.json", "dataset/catalog/summary.json", "model/2/card.md",
        f"{evaluation}/metrics.json", f"{evaluation}/report.html", f"{evaluation}/misclassified.json", "archive.json",
        "SHA256SUMS", "run/curves.json", "model/2/infrastructure.json", "gates/promotion.json",
    } <= names  # fmt: skip
    assert not [name for name in names if name.endswith((".pt", ".pth", ".wav", ".parquet"))]
    assert result.files == len(names)
    assert "health/report.json" in result.absent
    for line in (result.folder / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ", 1)
        assert hashlib.sha256((result.folder / name).read_bytes()).hexdigest() == digest


def test_archiving_again_finds_it_and_a_change_makes_another(released):
    settings = released.settings
    first = archive_run(settings, released.first.run_id)
    again = archive_run(settings, released.first.run_id)
    assert again.reused
    assert again.folder == first.folder
    health = settings.health_dir / open_run(settings, released.first.run_id).key
    health.mkdir(parents=True)
    (health / "report.json").write_text("{}")
    third = archive_run(settings, released.first.run_id)
    assert not third.reused
    assert third.folder != first.folder
    assert (third.folder / "health" / "report.json").exists()
    assert check_archive(first.folder).whole


def test_a_manifests_odd_name_hides_nothing_from_the_archive(trained):
    """Indexes and health reports lie under the encoded name, and brackets are no pattern."""
    settings, run_id = trained
    odd, folder = "prod (2) [b]-01234567", settings.run_root / "warmup-prod (2) [b]-01234567-89abcdef"
    key = open_run(settings, run_id).key
    (settings.run_root / run_id).rename(folder)
    config = (folder / "config.json").read_text().replace(run_id, folder.name).replace(key, odd)
    (folder / "config.json").write_text(config)
    (settings.catalog_dir / key).rename(settings.catalog_dir / odd)
    (settings.dataset_dir / key).rename(indexes_folder(settings, odd))
    write_json(settings.health_dir / file_name(odd) / "report.json", {})
    first = archive_run(settings, folder.name)
    names = {path.relative_to(first.folder).as_posix() for path in first.folder.rglob("*")}
    assert {"dataset/tiny.json", "dataset/catalog/summary.json", "health/report.json"} <= names
    assert "dataset indexes" not in first.absent
    assert archive_run(settings, folder.name).reused


def test_an_inventory_that_went_with_its_catalog_is_said_to_be_absent(trained):
    settings, run_id = trained
    (settings.catalog_dir / open_run(settings, run_id).key / "inventory.json").unlink()
    (said,) = [name for name in archive_run(settings, run_id).absent if "inventory.json" in name]
    assert "beatsight health" in said


def test_an_altered_archive_is_told_and_not_relied_on(released):
    settings = released.settings
    first = archive_run(settings, released.first.run_id)
    (first.folder / "run" / "history.csv").write_text("nothing")
    assert check_archive(first.folder).altered == ("run/history.csv",)
    assert not archive_run(settings, released.first.run_id).reused


def test_what_was_altered_lost_or_added_is_named(released):
    settings = released.settings
    folder = archive_run(settings).folder
    (other,) = [check for check in check_archives(settings) if check.folder == folder]
    assert other.whole
    assert other.files == len((folder / "SHA256SUMS").read_text().splitlines())
    (folder / "gate.json").unlink()
    (folder / "run" / "metrics.json").write_text("{}")
    (folder / "run" / "thresholds.json").rename(folder / "elsewhere.json")
    (folder / "run" / "thresholds.json").symlink_to("../elsewhere.json")  # the same bytes, but not the file
    (folder / "empty").mkdir()
    check = check_archive(folder)
    assert not check.whole
    assert check.altered == ("run/metrics.json", "run/thresholds.json")
    assert check.missing == ("gate.json",)
    assert check.extra == ("elsewhere.json",)
    assert archive_run(settings).folder != folder


@pytest.mark.parametrize(
    "sums", [None, "no list\n", "0  ../../other\n", f"{'0' * 64}  /etc/passwd\n", b"\xff\xfe", "0  \n"]
)
def test_a_list_that_cannot_be_used_is_no_pass(released, sums):
    folder = archive_run(released.settings).folder
    if sums is None:
        (folder / "SHA256SUMS").unlink()
    else:
        (folder / "SHA256SUMS").write_bytes(sums if isinstance(sums, bytes) else sums.encode())
    check = check_archive(folder)
    assert not check.whole
    assert "SHA256SUMS" in check.problem


def test_the_verb_looks_at_one_or_all_and_ends_with_one_if_any_is_not_as_it_was(released, capsys):
    from beatsight_core.cli.main import beatsight

    def verb(*words):
        with pytest.raises(SystemExit) as ended:
            beatsight.main(["--data-root", str(released.root), "archive", "--json", *words], standalone_mode=False)
        return ended.value.code, json.loads(capsys.readouterr().out)

    assert verb("--verify") == (0, {"whole": True, "archives": [], "external": []})
    first = archive_run(released.settings, released.first.run_id).folder
    second = archive_run(released.settings, released.second.run_id).folder
    (first / "extra.txt").write_text("x")
    code, said = verb("--verify")
    assert code == 1
    assert {check["folder"]: check["extra"] for check in said["archives"]} == {
        str(first): ["extra.txt"],
        str(second): [],
    }
    assert verb("--verify", released.second.run_id)[0] == 0
    assert verb("--verify", first.parent.name)[0] == 1
    assert verb("--verify", str(first))[0] == 1
    assert verb("--verify", "nothing")[0] == 2


@pytest.mark.parametrize("left", ["{", "[]", '{"run_id": "x"}'])
def test_a_damaged_archive_does_not_keep_others_from_being_made(released, left):
    settings = released.settings
    first = archive_run(settings).folder
    (first / "archive.json").write_text(left)
    again = archive_run(settings)
    assert not again.reused
    assert check_archive(again.folder).whole


def test_an_archive_that_lost_its_list_is_found_by_its_folder_and_its_day(released, tmp_path):
    settings = released.settings
    folder = archive_run(settings).folder
    (folder / "SHA256SUMS").unlink()
    elsewhere = tmp_path / "copied"
    shutil.copytree(folder, elsewhere)
    for which in (folder, folder.parent, folder.name, folder.parent.name, elsewhere):
        (check,) = check_archives(settings, str(which))
        assert "SHA256SUMS cannot be used" in check.problem
    with pytest.raises(UsageError, match="no archive"):
        check_archives(settings, str(tmp_path))


def test_the_baseline_lists_and_pictures_are_taken(released):
    settings = released.settings
    run = open_run(settings, released.second.run_id)
    health = settings.health_dir / file_name(run.key)
    for path in (settings.health_dir / "baseline.json", health / "rejected.jsonl", health / "report.json"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}\n")
    folder = archive_run(settings).folder
    kept = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {"health/baseline.json", "health/rejected.jsonl", "health/report.json"} <= kept
    for evaluation in (settings.metrics_dir / run.run_id).iterdir():
        there = {f"evaluation/{evaluation.name}/{path.name}" for path in evaluation.iterdir()}
        assert {name.rpartition("/")[2] for name in there - kept} == {"predictions.parquet"}
        assert {"confusion.png", "label_errors.json"} <= {name.rpartition("/")[2] for name in kept & there}


def test_what_wandb_shows_and_what_the_status_page_says_are_kept(released):
    settings = released.settings
    run = open_run(settings, released.second.run_id)
    write_json(run.folder / "tracking.json", {"mode": "online", "id": "x", "place": "https://wandb.example/x"})
    page = settings.data_root / "STATUS.md"
    page.write_text(f"mine\n{BEGIN}\n{END}\nmine\n")
    settings = dataclasses.replace(settings, release=dataclasses.replace(settings.release, current_status=page))
    apply_pending(settings)
    folder = archive_run(settings).folder
    shown = json.loads((folder / "run" / "wandb_summary.json").read_text())
    assert shown["tracking"]["place"] == "https://wandb.example/x"
    assert shown["summary"]["accuracy"] == run.metrics["metrics"]["accuracy"]
    assert shown["summary"]["epoch"] == run.history[-1]["epoch"]
    status = (folder / "status" / "CURRENT_STATUS.md").read_text()
    assert "version 2 is in use" in status
    assert "mine" not in status
    of_another = archive_run(settings, released.first.run_id)
    assert not (of_another.folder / "status").exists()
    assert "run/tracking.json (it was not tracked)" in of_another.absent


def test_without_a_champion_a_run_must_be_named(trained):
    settings, run_id = trained
    with pytest.raises(ModelError, match="no champion"):
        archive_run(settings)
    result = archive_run(settings, run_id[:12])
    assert {"gate.json", "evaluations"} <= set(result.absent)


def test_the_history_as_csv_has_a_column_per_component():
    rows = list(csv.DictReader(io.StringIO(history_csv([{"epoch": 1, "f1": {"kick": 0.5}}, {"epoch": 2, "lr": 0.1}]))))
    assert rows == [{"epoch": "1", "f1.kick": "0.5", "lr": ""}, {"epoch": "2", "f1.kick": "", "lr": "0.1"}]
