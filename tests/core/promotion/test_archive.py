import csv
import hashlib
import io
import json

import pytest

from beatsight_core.dataset.index import indexes_folder
from beatsight_core.errors import ModelError
from beatsight_core.files import file_name, write_json
from beatsight_core.promotion.archive import altered_files, archive_run, history_csv
from beatsight_core.training.records import open_run


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
        "SHA256SUMS",
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
    assert altered_files(first.folder) == []


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
    assert altered_files(first.folder) == ["run/history.csv"]
    assert not archive_run(settings, released.first.run_id).reused


def test_without_a_champion_a_run_must_be_named(trained):
    settings, run_id = trained
    with pytest.raises(ModelError, match="no champion"):
        archive_run(settings)
    result = archive_run(settings, run_id[:12])
    assert {"gate.json", "evaluations"} <= set(result.absent)


def test_the_history_as_csv_has_a_column_per_component():
    rows = list(csv.DictReader(io.StringIO(history_csv([{"epoch": 1, "f1": {"kick": 0.5}}, {"epoch": 2, "lr": 0.1}]))))
    assert rows == [{"epoch": "1", "f1.kick": "0.5", "lr": ""}, {"epoch": "2", "f1.kick": "", "lr": "0.1"}]
