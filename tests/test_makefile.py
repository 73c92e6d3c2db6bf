"""`make install TORCH_INDEX=...`: what is installed from where, and that a changed address takes effect."""

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RECORDER = """#!/bin/sh
echo "$*" >> {log}
if [ "$1 $2" = "-m venv" ]; then mkdir -p "$3/bin" && cp "$0" "$3/bin/python"; fi
case "$*" in *unreachable*) exit 1;; esac
"""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = [need for need in PROJECT["optional-dependencies"]["train"] if need.startswith("torch")]
VENV, REST = "venv .venv", "install -e .[dev]"
AWAY = "uninstall --yes torch torchaudio"


@pytest.fixture
def install(tmp_path):
    """Run `make install` with a Python that only writes down what it is asked to do; what that was, in order."""
    if shutil.which("make") is None:
        pytest.skip("this machine has no make")
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    python, log = tmp_path / "python", tmp_path / "log"
    python.write_text(RECORDER.format(log=log))
    python.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name not in ("TORCH_INDEX", "MAKEFLAGS")}

    def run(*variables, code=0):
        log.write_text("")
        words = ["make", "install", f"PYTHON={python}", *variables]
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode == 0) == (code == 0), done.stderr
        lines = [
            line.removeprefix("-m ").removeprefix("pip --quiet --disable-pip-version-check ")
            for line in log.read_text().splitlines()
        ]
        return [line for line in lines if "beatsight_dagster" not in line]

    return run


def torch_from(address):
    return f"install --index-url {address} {' '.join(PINS)}"


def test_without_an_address_pip_looks_where_it_always_does(install):
    assert install() == [VENV, REST]
    assert install() == []


def test_an_address_on_an_existing_environment_takes_effect_and_is_remembered(install, tmp_path):
    install()
    assert install("TORCH_INDEX=file:///cu126") == [VENV, AWAY, torch_from("file:///cu126"), REST]
    assert install("TORCH_INDEX=file:///cu126") == []
    assert install() == []
    later = (tmp_path / ".venv" / ".ready").stat().st_mtime + 5
    os.utime(tmp_path / "pyproject.toml", (later, later))
    assert install() == [VENV, torch_from("file:///cu126"), REST]
    os.utime(tmp_path / "pyproject.toml", (0, 0))
    assert install("TORCH_INDEX=file:///other") == [VENV, AWAY, torch_from("file:///other"), REST]
    assert install("TORCH_INDEX=") == [VENV, AWAY, REST]
    assert install() == []


def test_an_install_that_failed_is_made_good_by_the_next(install):
    install()
    assert install("TORCH_INDEX=file:///unreachable", code=2)[-1] == torch_from("file:///unreachable")
    assert install(code=2) == [VENV, torch_from("file:///unreachable")]  # not as if all were well
    assert install("TORCH_INDEX=file:///cu126")[-2:] == [torch_from("file:///cu126"), REST]
