"""What a person types next: `beatsight status`, the last line of every verb, and completion in a shell."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from beatsight_core.cli.main import beatsight
from beatsight_core.cli.manifest_argument import MANIFEST

MAIN = "from beatsight_core.cli.main import main; main()"


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(beatsight, [str(word) for word in words])


def next_of(text: str) -> str:
    return text.rstrip("\n").splitlines()[-1]


@pytest.fixture
def odd_root(tmp_path: Path, make_corpus: Callable[..., Path]) -> Path:
    """A data root with a blank in its name, and one manifest that nobody has read."""
    root = tmp_path / "my data"
    make_corpus(root, sessions=1, hits=3)
    return root


def test_a_verb_ends_with_what_status_says_comes_next(odd_root: Path) -> None:
    first = call("status", "--data-root", odd_root)
    assert first.exit_code == 0
    checked = call("manifest", "check", "tiny.jsonl", "--data-root", odd_root)
    key = json.loads(call("manifest", "check", "tiny.jsonl", "--json", "--data-root", odd_root).stdout)["key"]
    assert next_of(first.stdout) == f"Next: beatsight manifest check {key} --data-root '{odd_root}'"
    assert next_of(checked.stderr) == f"Next: beatsight export {key} --data-root '{odd_root}'"
    assert "Next:" not in checked.stdout
    assert next_of(call("status", "--data-root", odd_root).stdout) == next_of(checked.stderr)
    assert next_of(call("status", "tiny.jsonl", "--data-root", odd_root).stdout) == next_of(checked.stderr)


def test_without_the_option_the_command_has_none_and_json_has_no_line(
    odd_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEATSIGHT_DATA_ROOT", str(odd_root))
    assert next_of(call("taxonomy").stderr) == "Next: beatsight status"
    assert call("taxonomy", "--json").stderr == ""
    (status,) = json.loads(call("status", "--json").stdout)["manifests"]
    assert status["here"] == "manifest"
    assert status["next"] == next_of(call("status").stdout).removeprefix("Next: ")


def test_an_error_keeps_its_own_advice(odd_root: Path) -> None:
    wrong = call("status", "nowhere.jsonl", "--data-root", odd_root)
    assert wrong.exit_code == 3
    assert "tiny.jsonl" in wrong.stderr
    assert "Next:" not in wrong.stderr


def test_without_a_manifest_it_says_where_to_put_one(data_root: Path) -> None:
    result = call("status", "--data-root", data_root)
    words = " ".join(result.stdout.split())
    assert str(data_root / "manifests") in words
    assert "docs/write-a-manifest.md" in words
    assert not list(data_root.iterdir())


def test_status_loads_neither_torch_nor_tables(odd_root: Path) -> None:
    call("manifest", "check", "tiny.jsonl", "--data-root", odd_root)
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", MAIN, "status", "--data-root", str(odd_root)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert not loaded & {"torch", "dagster", "polars", "soundfile"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_can_be_given_completion(shell: str) -> None:
    environment = {**os.environ, "_BEATSIGHT_COMPLETE": f"{shell}_source"}
    code = "import sys; sys.argv[0] = 'beatsight'; " + MAIN
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "_BEATSIGHT_COMPLETE" in done.stdout


def test_manifests_are_completed(odd_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEATSIGHT_DATA_ROOT", str(odd_root))
    environment = {
        **os.environ, "_BEATSIGHT_COMPLETE": "bash_complete", "COMP_WORDS": "beatsight health ti", "COMP_CWORD": "2",
    }  # fmt: skip
    code = "import sys; sys.argv[0] = 'beatsight'; " + MAIN
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["plain,tiny.jsonl"]
    assert MANIFEST.name == "manifest"
