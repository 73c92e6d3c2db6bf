"""The commands in the documents are run, in the order they stand in, and must exit as the document says."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```bash run(?: exit=(\d+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)(?:#[^)]*)?\)")
VERBS = re.compile(r"\bbeatsight ([a-z]+)")
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "least"), [("tutorial", 8), ("training", 3), ("devices", 2), ("gpu", 1), ("recast", 2)]
)
def test_the_commands_run_word_for_word(name: str, least: int, tmp_path: Path):
    blocks = BLOCK.findall((ROOT / "docs" / f"{name}.md").read_text())
    assert len(blocks) >= least
    # Every block must end as it says; blocks share one shell, as they would when typed.
    script = ["set -u"]
    for code, commands in blocks:
        for command in commands.strip().splitlines():
            failed = shlex.quote(f"{command}: must exit with {code or 0}, not with")
            script += [command, f"said=$?; [ $said -eq {code or 0} ] || {{ echo {failed} $said; exit 99; }}"]
    place = tmp_path / name
    shell = "\n".join(script).replace(f"/tmp/beatsight-{name}", str(place))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", shell], cwd=ROOT, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    if name == "tutorial":
        assert (place / "hits.mid").read_bytes().startswith(b"MThd")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere_and_verbs_exist(document):
    from beatsight_core.cli.main import _VERBS

    text = document.read_text()
    for target in LINK.findall(text):
        assert (document.parent / target).exists(), f"{document.name} links to {target}"
    code = " ".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))
    assert set(VERBS.findall(code)) <= set(_VERBS)
