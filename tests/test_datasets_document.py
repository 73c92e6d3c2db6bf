"""docs/datasets.md, run: its commands and programs in the order they stand in, word for word."""

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[1] / "docs" / "datasets.md"
BLOCK = re.compile(r"^```(bash|python) run\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.long
def test_the_page_on_datasets_runs_word_for_word(tmp_path):
    blocks = BLOCK.findall(DOCUMENT.read_text(encoding="utf-8"))
    assert {kind for kind, _ in blocks} == {"bash", "python"}
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HF_HOME": str(tmp_path / "cache"),
        "HF_HUB_OFFLINE": "1",
    }
    for kind, group in itertools.groupby(blocks, key=lambda block: block[0]):
        text = "".join(block for _, block in group)  # a program goes on where the last one ended
        command = ["bash", "-euo", "pipefail", "-c", text] if kind == "bash" else [sys.executable, "-c", text]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{text}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    assert list((tmp_path / "data" / "reports" / "datasets").glob("demo-*.html"))
