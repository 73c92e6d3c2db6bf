"""`beatsight run` as it is typed: what it starts tells what is wrong, and its exit code is passed on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from beatsight_core.cli.main import beatsight

RUN = [sys.executable, "-c", "from beatsight_core.cli.main import main; main()", "run"]


def test_a_manifest_without_an_event_ends_it_and_is_told_with_what_to_do(data_root: Path) -> None:
    inbox = data_root / "manifests"
    inbox.mkdir()
    (inbox / "bad.jsonl").write_text('{"a": 1}\n')
    words = ["bad.jsonl", "--until", "health", "--data-root", str(data_root)]
    environment = {**os.environ, "BEATSIGHT_DEVICES": "", "WANDB_MODE": "disabled"}
    done = subprocess.run([*RUN, *words], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr  # a step of the graph failed
    assert "is a valid event" in done.stderr
    assert "bad.jsonl: you are at manifest" in done.stdout
    assert done.stdout.rstrip().endswith(f"Next: beatsight manifest check bad.jsonl --data-root {data_root}")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [(["nowhere.jsonl"], 3), (["x.jsonl", "--until", "tea"], 2), (["x.jsonl", "--preset", "warmup"], 2)],
)
def test_what_is_typed_wrong_starts_nothing(words: list[str], code: int, data_root: Path) -> None:
    result = CliRunner().invoke(beatsight, ["run", *words, "--data-root", str(data_root)])
    assert result.exit_code == code
    assert not (data_root / "dagster").exists()
