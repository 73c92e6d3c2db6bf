"""The wheel: built, installed beside nothing of this checkout, and used from another folder."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("beatsight_core", "beatsight_dagster")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
LOOK = """
import json
from importlib import metadata

import beatsight_core
from beatsight_core.manifest.sampling import load_profile
from beatsight_core.pages import page
from beatsight_core.provenance import program_version
from beatsight_core.runs.presets import preset_values
from beatsight_core.settings import PRESETS

print(json.dumps({
    "file": beatsight_core.__file__,
    "version": metadata.version("beatsight"),
    "program": program_version(),
    "epochs": [preset_values(name)["epochs"] for name in PRESETS],
    "profile": load_profile("prod_combined").name,
    "page": page.render_page("base.html", title="found"),
}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel from a copy, because setuptools leaves folders beside what it builds."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(out)], cwd=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return out / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Install it into a fresh environment that finds the requirements, but not this checkout, in the present one."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python), "install", "--no-deps"]
    done = subprocess.run([*pip, "--no-index", str(wheel)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "requirements.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}

    def run(*words):
        command = [str(folder / "bin" / words[0]), *words[1:]]
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60
        )

    return folder, run


def test_every_file_that_code_reads_is_in_the_wheel(wheel):
    wanted = {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert sum(name.endswith((".html", ".css", ".toml")) for name in wanted) >= 11
    with zipfile.ZipFile(wheel) as archive:
        held = {name: archive.read(name) for name in archive.namelist() if name in wanted}
    assert sorted(wanted.keys() - held.keys()) == []
    assert held == wanted


@pytest.fixture(scope="module")
def found(installed):
    """What a program finds that uses the installed wheel."""
    _, run = installed
    done = run("python", "-c", LOOK)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_an_installed_wheel_finds_its_templates_presets_and_profiles(installed, found):
    folder, _ = installed
    assert Path(found["file"]).is_relative_to(folder)
    assert (Path(found["file"]).parent / "py.typed").is_file()
    assert found["epochs"] == [8, 60, 220]
    assert found["profile"] == "prod_combined"
    assert "found" in found["page"]


def test_its_command_starts(installed):
    _, run = installed
    shown = run("beatsight", "--help")
    assert shown.returncode == 0, shown.stderr
    assert "promote" in shown.stdout
    assert json.loads(run("beatsight", "taxonomy", "--json").stdout)["taxonomies"]


def test_the_version_stands_in_one_place(installed, found):
    _, run = installed
    assert (found["version"], found["program"]) == (VERSION, VERSION)
    assert VERSION in run("beatsight", "--version").stdout
    released = re.findall(r"^## \[(\d[^\]]*)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert released[0] == VERSION
    written = [
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if f'"{VERSION}"' in path.read_text(encoding="utf-8")
    ]
    assert written == []
