"""What is typed and what comes back: help, exit codes, one JSON object, messages."""

import json
import socket
import subprocess
import sys

import pytest
from click.testing import CliRunner

from beatsight_core.cli.main import _VERBS, beatsight
from beatsight_core.cli.text import shape, size

CONTRACT = {
    "doctor", "demo", "dev", "verify", "export", "health", "features", "train", "evaluate", "judge", "promote",
    "rollback", "models", "archive", "classify", "manifest", "dataset", "devices", "recast",
    "taxonomy", "alerts", "status", "run",
}  # fmt: skip


def call(*arguments):
    return CliRunner().invoke(beatsight, [str(argument) for argument in arguments])


def test_the_verbs_are_those_of_the_contract():
    assert set(_VERBS) == CONTRACT


@pytest.mark.parametrize("verb", sorted(CONTRACT))
def test_every_verb_explains_itself(verb):
    result = call(verb, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.output
    assert verb in ("manifest", "dataset", "alerts") or ("--json" in result.output and "--data-root" in result.output)


def test_help_is_fast_to_load():
    code = "import sys; from beatsight_core.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code, "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert not imported & {"torch", "dagster", "wandb", "matplotlib", "polars"}


def test_unknown_verb_and_missing_argument_are_usage_errors():
    assert call("dance").exit_code == 2
    assert call("verify").exit_code == 2


def test_a_manifest_that_is_not_there_is_an_input_error(data_root):
    result = call("verify", "nowhere.jsonl", "--data-root", data_root)
    assert result.exit_code == 3
    assert "nowhere.jsonl" in result.stderr
    assert "What to do:" in result.stderr
    assert "Traceback" not in result.stderr


def test_errors_are_json_too_when_asked_for(data_root):
    result = call("verify", "nowhere.jsonl", "--data-root", data_root, "--json")
    said = json.loads(result.stdout)
    assert said["exit_code"] == 3
    assert said["error"]["kind"] == "ManifestError"


def test_wrong_settings_are_a_usage_error(data_root):
    (data_root / "beatsight.toml").write_text("[dataset]\nval_ratio = 2.0\n")
    result = call("--data-root", data_root, "models")
    assert result.exit_code == 2
    assert "val_ratio" in result.stderr


def test_debug_shows_where_it_happened(data_root):
    assert "Traceback" in call("verify", "nowhere.jsonl", "--data-root", data_root, "--debug").stderr


def test_no_models_yet_is_no_error(data_root):
    result = call("models", "--data-root", data_root, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["models"] == []


def test_set_needs_a_value(data_root):
    result = call("train", "x.jsonl", "--set", "epochs", "--data-root", data_root)
    assert result.exit_code == 2
    assert "--set epochs=2" in result.stderr


def test_doctor_finds_a_root_that_is_not_mounted(data_root):
    (data_root / "beatsight.toml").write_text("[sources.a]\nroots = ['/nowhere/at/all']\n")
    result = call("doctor", "--data-root", data_root, "--json")
    said = json.loads(result.stdout)
    assert result.exit_code == 1
    assert not said["healthy"]
    assert any("/nowhere/at/all" in finding["what"] for finding in said["findings"])


def test_doctor_is_content_with_an_empty_root(data_root):
    result = call("doctor", "--data-root", data_root)
    assert result.exit_code == 0, result.output
    assert "Layout" in result.stdout
    versions = [line.split() for line in result.stdout.splitlines()]
    assert {"driver", "cuda", "cuDNN"} <= {words[0] for words in versions if words}  # said also where there are none


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "-"), (True, "yes"), (1234567, "1,234,567"), (0.5, "0.5"), (12345.678, "12,345.7"), ({"a": 1}, "a 1")],
)
def test_values_read_well(value, shown):
    assert shape(value) == shown


def test_sizes_read_well():
    assert [size(0), size(2048), size(3 * 2**30)] == ["0 B", "2.0 KiB", "3.0 GiB"]


def test_wrong_options_are_json_too_when_asked_for(data_root):
    command = [sys.executable, "-c", "from beatsight_core.cli.main import main; main()"]
    words = ["models", "--nosuch", "--json", "--data-root", str(data_root)]
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert json.loads(done.stdout)["exit_code"] == 2
    assert "nosuch" in done.stderr


def test_a_port_that_is_taken_or_is_none_is_said_at_once(data_root):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        result = call("dev", "--port", port, "--data-root", data_root)
    assert result.exit_code == 2
    assert "taken" in result.stderr
    assert call("dev", "--port", 99999, "--data-root", data_root).exit_code == 2


def test_doctor_finds_a_file_where_a_folder_is_needed(data_root):
    (data_root / "runs").write_text("")
    assert call("doctor", "--data-root", data_root).exit_code == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [([], "`beatsight models` says which version is in use"), (["2"], "run the same command to go on")],
)
def test_an_interrupted_rollback_is_not_sent_one_version_further(words, said, tmp_path, monkeypatch):
    def stopped(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("beatsight_core.promotion.promote.rollback", stopped)
    done = call("rollback", *words, "--data-root", tmp_path)
    assert (done.exit_code, said in done.stderr) == (130, True)
