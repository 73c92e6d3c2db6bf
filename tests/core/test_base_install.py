"""Without its extras the package still reads, exports, checks and judges data."""

import json
import subprocess
import sys

import pytest

EXTRAS = (
    "torch",
    "torchaudio",
    "dagster",
    "wandb",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "safetensors",
    "mido",
    "pynvml",
)
WITHOUT_EXTRAS = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {EXTRAS!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
from beatsight_core.cli.main import main
main()
"""


@pytest.fixture(scope="module")
def beatsight(tmp_path_factory):
    root = tmp_path_factory.mktemp("base") / "data"

    def call(*words):
        command = [sys.executable, "-c", WITHOUT_EXTRAS, *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    made = call("demo", str(root), "--size", "tiny", "--corpus-only")
    assert made.returncode == 0, made.stderr
    return lambda *words: call(*words, "--data-root", str(root), "--json")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("doctor",), 0),
        (("verify", "demo.jsonl"), 0),
        (("manifest", "check", "demo.jsonl"), 0),
        (("export", "demo.jsonl"), 0),
        (("export", "demo.jsonl", "--verify"), 0),
        (("dataset", "ls"), 0),
        (("dataset", "show", "demo", "--html"), 0),
        (("dataset", "prune", "--yes"), 0),
        (("health", "demo.jsonl"), 1),  # a tiny corpus fails gates
        (("models",), 0),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_base_verbs_work_without_extras(beatsight, words, code):
    done = beatsight(*words)
    assert done.returncode == code, done.stderr
    assert isinstance(json.loads(done.stdout), dict)


def test_a_verb_that_needs_an_extra_says_which(beatsight):
    beatsight("export", "demo.jsonl")
    done = beatsight("features", "demo.jsonl")
    assert done.returncode == 2
    assert "pip install" in done.stderr
    assert "Traceback" not in done.stderr
