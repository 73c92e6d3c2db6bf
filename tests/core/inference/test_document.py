"""The programs in docs/inference.md, run as they stand, beside a model's folder and a recording."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs" / "inference.md").read_text()
BLOCKS = re.findall(r"^```python run( no torch)?\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
WITHOUT_TORCH = "import sys\nsys.modules.update(dict.fromkeys(['torch', 'torchaudio', 'beatsight_core']))\n"


def test_there_are_programs() -> None:
    assert len(BLOCKS) == 3
    assert sum(bool(without) for without, _ in BLOCKS) == 1


@pytest.mark.parametrize(("without", "code"), BLOCKS, ids=[f"program {n}" for n in range(1, len(BLOCKS) + 1)])
def test_the_programs_run(without, code, delivery, recording, tmp_path):
    shutil.copytree(delivery.folder, tmp_path / "drum_model")
    shutil.copyfile(recording, tmp_path / "groove.wav")
    wall = WITHOUT_TORCH if without else ""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", wall + code], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={
            "PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
            "OMP_NUM_THREADS": "1", "ORT_DISABLE_TELEMETRY": "1",
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "kick" in done.stdout or "snare" in done.stdout or "hihat" in done.stdout
