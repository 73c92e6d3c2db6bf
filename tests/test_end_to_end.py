"""The whole runbook on a tiny corpus, by the command line: what each verb says, leaves on disk, and refuses."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from beatsight_core.cli.main import beatsight

MANIFEST = "demo.jsonl"


class Place:
    """A data root that has been taken through the runbook, and what every verb said on the way."""

    def __init__(self, root: Path):
        self.root = root
        self.said: dict[str, dict] = {}

    def call(self, *arguments: object, code: int = 0) -> dict:
        words = [str(argument) for argument in arguments]
        result = CliRunner().invoke(beatsight, [*words, "--data-root", str(self.root), "--json"])
        assert result.exit_code == code, f"{words}: exit {result.exit_code}\n{result.output}\n{result.exception!r}"
        said: dict = json.loads(result.stdout)
        return said


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = Place(tmp_path_factory.mktemp("runbook") / "data")
    corpus = CliRunner().invoke(beatsight, ["demo", str(place.root), "--size", "tiny", "--corpus-only", "--json"])
    assert corpus.exit_code == 0, corpus.output
    said = place.said
    said["corpus"] = json.loads(corpus.stdout)
    said["verify"] = place.call("verify", MANIFEST)
    said["written by verify"] = sorted(path.name for path in place.root.iterdir())
    said["export"] = place.call("export", MANIFEST, "--workers", 2)
    said["again"] = place.call("export", MANIFEST)
    said["health"] = place.call("health", MANIFEST, code=1)
    said["features"] = place.call("features", MANIFEST)
    said["train"] = place.call("train", MANIFEST, "--preset", "warmup", "--set", "epochs=2", "--device", "cpu")
    said["evaluate"] = place.call("evaluate", said["train"]["run_id"], "--split", "all")
    said["judged"] = place.call("evaluate", "latest")
    said["refused"] = place.call("promote", "latest", code=1)
    said["forced"] = place.call("promote", "latest", "--force", "a test of the whole")
    said["archive"] = place.call("archive")
    return place


def test_verify_says_what_is_there_and_writes_nothing(place):
    verify = place.said["verify"]
    assert verify["kept"] + verify["rejected"] == verify["read"]
    assert verify["missing_audio"] > 0
    assert len(verify["seconds_by_source"]) == 3
    assert place.said["written by verify"] == ["beatsight.toml", "manifests", "raw"]


def test_verify_and_export_agree(place):
    verify, export = place.said["verify"], place.said["export"]
    assert verify["clips"] == export["hits"]
    assert verify["hits"] == export["hits"] + export["rejected"]


def test_the_second_export_writes_nothing_and_counts_the_same(place):
    first, again = place.said["export"], place.said["again"]
    assert again["shards_written"] == 0
    assert again["shards_reused"] == first["shards_written"]
    assert (again["hits"], again["rejects_by_reason"]) == (first["hits"], first["rejects_by_reason"])


def test_health_fails_on_a_tiny_corpus_and_reports(place):
    health = place.said["health"]
    assert not health["passed"]
    assert any(not gate["passed"] for gate in health["gates"])
    assert Path(health["report_html"]).read_text().startswith("<!doctype html>")


def test_features_cover_every_clip(place):
    assert place.said["features"]["clips"] == place.said["export"]["hits"]


def test_training_leaves_a_run_that_explains_itself(place):
    folder = Path(place.said["train"]["folder"])
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "environment.json", "history.jsonl", "metrics.json", "checkpoints"} <= names
    assert len((folder / "history.jsonl").read_text().splitlines()) == 2


def test_the_same_training_command_finds_the_finished_run(place):
    again = place.call("train", MANIFEST, "--preset", "warmup", "--set", "epochs=2", "--device", "cpu")
    assert again["run_id"] == place.said["train"]["run_id"]
    assert again["epochs"] == 2


def test_evaluation_has_all_metrics_of_the_contract(place):
    metrics = place.said["evaluate"]["metrics"]
    contract = {"accuracy", "exact_match", "top1_in_set", "macro_f1", "loss", "legacy_accuracy", "legacy_ceiling"}
    assert contract | {"per_class", "solo", "simultaneous"} <= set(metrics)
    assert metrics["hits"] == place.said["export"]["hits"]


def test_promotion_says_which_criteria_fail_and_by_how_much(place):
    refused = place.said["refused"]
    failed = [criterion for criterion in refused["criteria"] if not criterion["passed"]]
    assert "accuracy" in {criterion["name"] for criterion in failed}
    assert all({"value", "limit", "message"} <= set(criterion) for criterion in failed)


def test_a_forced_promotion_is_marked_for_ever(place):
    models = place.call("models")["models"]
    assert [(model["version"], model["role"]) for model in models] == [(place.said["forced"]["version"], "champion")]
    card = next((place.root / "models" / "versions").rglob("card.md")).read_text()
    assert "a test of the whole" in card


def test_the_champion_loads_as_a_plain_state_dict_elsewhere(place):
    code = "import sys, torch; print(len(torch.load(sys.argv[1], weights_only=True)))"
    path = place.root / "models" / "current_drum_classifier.pth"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 5
    spec = json.loads(
        (path.parent / "versions" / str(place.said["forced"]["version"]) / "feature_spec.json").read_text()
    )
    assert spec["normalisation"] == {"applied_by": "the model", "reference": "onset"}


def test_the_archive_holds_what_a_later_reader_needs(place):
    names = {path.name for path in Path(place.said["archive"]["folder"]).rglob("*") if path.is_file()}
    assert {"metrics.json", "config.json", "environment.json"} <= names


def test_classify_names_drums_in_every_format(place, tmp_path):
    audio = next((place.root / "raw").rglob("*.flac"))
    onsets = tmp_path / "onsets.csv"
    onsets.write_text("0.5\n1.0\n")
    said = place.call("classify", audio, "--onsets", onsets, "--out", tmp_path / "hits.csv")
    assert [row["onset"] for row in said["hits"]] == [0.5, 1.0]
    assert len(list(csv.DictReader((tmp_path / "hits.csv").read_text().splitlines()))) == 2
    place.call("classify", audio, "--out", tmp_path / "hits.mid")
    assert (tmp_path / "hits.mid").read_bytes().startswith(b"MThd")


def test_text_output_is_for_people(place):
    for words in (["verify", MANIFEST], ["models"], ["doctor"], ["manifest", "check", MANIFEST]):
        result = CliRunner().invoke(beatsight, [*words, "--data-root", str(place.root)])
        assert result.exit_code == 0, result.output
        assert "{" not in result.stdout
    for verb, said in (
        ("evaluate", "Per component"),
        ("judge", "Promotion criteria"),
        ("promote", "Promotion criteria"),
    ):
        words = [verb, "latest", "--device", "cpu", "--data-root", str(place.root)]
        result = CliRunner().invoke(beatsight, words)
        assert result.exit_code == (0 if verb == "evaluate" else 1), result.output
        assert said in result.stdout


def test_a_smoke_run_has_a_dataset_of_its_own(place):
    limited = place.call("export", MANIFEST, "--limit", 30)
    assert limited["key"].endswith("-limit30")
    assert limited["hits"] < place.said["export"]["hits"]


def test_a_damaged_shard_is_found_and_healed(place):
    assert place.call("export", MANIFEST, "--verify")["passed"]
    shard = next((place.root / "datasets" / "shards").rglob("*.parquet"))
    whole = shard.read_bytes()
    shard.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    assert place.call("export", MANIFEST, "--verify", code=1)["broken"] == [str(shard)]
    assert place.call("export", MANIFEST, "--heal")["healed"] == 1
    assert shard.read_bytes() == whole


def test_the_demo_keeps_out_of_folders_that_the_shell_names(tmp_path, monkeypatch):
    monkeypatch.setenv("BEATSIGHT_RUN_ROOT", str(tmp_path / "production"))
    words = ["demo", "--data-root", str(tmp_path / "demo"), "--size", "tiny", "--corpus-only", "--json"]
    said = json.loads(CliRunner().invoke(beatsight, words).stdout)
    assert said["data_root"] == str(tmp_path / "demo")
    assert not (tmp_path / "production").exists()


def test_doctor_asks_for_no_space_for_what_is_exported(place):
    assert place.call("doctor")["space"]["manifests"] == {MANIFEST: 0}


def test_rollback_without_a_version_before_says_so(place):
    place.call("rollback", code=3)


def test_a_run_that_is_not_there_is_an_input_error(place):
    assert "nothing-of-that-name" in place.call("evaluate", "nothing-of-that-name", code=3)["error"]["what"]
