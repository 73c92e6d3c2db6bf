"""Files in the current folder that are called like modules are not imported, by a verb or by any process it starts."""

import os
import subprocess
import sys

import pytest

SHADOWS = (
    "click",
    "random",
    "pickle",
    "signal",
    "selectors",
    "struct",
    "numpy",
    "polars",
    "soundfile",
    "torch",
    "queue",
)


@pytest.fixture
def crowded(tmp_path):
    """A folder with files of these names."""
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in SHADOWS:
        (folder / f"{name}.py").write_text("raise RuntimeError('imported from the current folder')\n")
    return folder


def call(folder, root, *words):
    """A verb, started by a script as the package installs one: Python looks beside that first, not in the folder."""
    script = folder.with_name("bin") / "beatsight"
    script.parent.mkdir()
    script.write_text("from beatsight_core.cli.main import main\nif __name__ == '__main__':\n    main()\n")
    environment = {**os.environ, "BEATSIGHT_DATA_ROOT": str(root), "BEATSIGHT_DEVICES": ""}
    command = [sys.executable, str(script), *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_workers_import_nothing_from_the_current_folder(crowded, trained):
    settings, _ = trained
    done = call(crowded, settings.data_root, "export", "tiny.jsonl", "--overwrite", "--workers", "2", "--json")
    assert (done.returncode, "current folder" in done.stderr) == (0, False), done.stderr
