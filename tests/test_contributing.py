"""CONTRIBUTING.md, followed: its changes are made word for word in a copy of the tree, and its checks are run there."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
SECTIONS = {part.split("\n", 1)[0]: part for part in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]}
DIFF = re.compile(r"^   ```diff (\S+)\n(.*?)^   ```$", re.MULTILINE | re.DOTALL)
CHECK = re.compile(r"^   ```bash\n(.*?)^   ```$", re.MULTILINE | re.DOTALL)
EXAMPLES = ("How to add a component", "How to add a flag to a verb")
FILES = re.compile(r"^\d\. `([\w/.]+)`:", re.MULTILINE)


def changes(section):
    """The diffs of a section in order: file, the lines to look for, the lines to put there."""
    for file, block in DIFF.findall(SECTIONS[section]):
        lines = textwrap.dedent(block).splitlines()
        yield (
            file,
            "".join(f"{line[1:]}\n" for line in lines if line[:1] != "+"),
            "".join(f"{line[1:]}\n" for line in lines if line[:1] != "-"),
        )


@pytest.fixture
def tree(tmp_path):
    """A copy of what the examples touch and what their checks need."""
    for name in ("beatsight_core", "docs", "tests/core/cli"):
        ignored = shutil.ignore_patterns("__pycache__", "*.png")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("tests/conftest.py", "tests/quick.py", "tests/garbage.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("tests/core/test_taxonomy.py", "tests/core/test_architecture.py", "tests/test_docs.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("section", EXAMPLES)
def test_an_example_touches_two_files_and_a_test_and_works_word_for_word(section, tree):
    touched = []
    for file, old, new in changes(section):
        text = (tree / file).read_text()
        assert text.count(old) == 1, f"{file} must hold these lines once:\n{old}"
        (tree / file).write_text(text.replace(old, new))
        touched.append(file)
    assert len(set(touched)) == 3
    assert sum(file.startswith("tests/") for file in set(touched)) == 1
    (check,) = CHECK.findall(SECTIONS[section])
    assert run(check, tree) == ""


def test_a_check_fails_while_a_step_is_left_out(tree):
    """Without the first file the check is red, so that a green one means something."""
    section = EXAMPLES[0]
    first = next(changes(section))[0]
    for file, old, new in changes(section):
        if file != first:
            (tree / file).write_text((tree / file).read_text().replace(old, new))
    (check,) = CHECK.findall(SECTIONS[section])
    assert "failed" in run(check, tree)


def run(check, tree):
    """Run a check in the tree with this Python; what it printed if it failed, else nothing."""
    words = shlex.split(check.strip())
    assert words[0] == ".venv/bin/pytest"
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words[1:]]
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"failed\n{done.stdout[-3000:]}\n{done.stderr[-1000:]}"


def test_there_are_five_pages_and_their_files_are_there():
    pages = [title for title in SECTIONS if title.startswith("How to add")]
    assert len(pages) == 5
    for page in pages:
        named = {*FILES.findall(SECTIONS[page]), *(file for file, _, _ in changes(page))}
        assert len({file for file in named if not file.startswith("tests/")}) == 2, page
        for file in named:
            assert (ROOT / file).exists(), f"{page}: {file}"
