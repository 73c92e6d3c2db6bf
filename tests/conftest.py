"""A clean environment for every test: no BEATSIGHT_* or tracking variable of the caller reaches it."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

# Torch's threads spin while they wait: on tiny models and busy cores one thread is many times faster than two.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest

from beatsight_core.settings import Settings, load_settings
from tests.garbage import all_here_stays
from tests.quick import be_quick

# The tests start hundreds of processes. Without stored bytecode each of them compiles our modules again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# A shell that starts the tests in the background lets them, and what they start, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="only tests without torch and without other processes")


def pytest_configure(config: pytest.Config) -> None:
    if config.option.quick:
        be_quick(config)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    from tests.groups import InGroups

    return InGroups(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no process is left alone with it at the end."""
    items.sort(key=lambda item: item.nodeid.startswith("tests/core/"))


def pytest_collection_finish() -> None:
    all_here_stays()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("BEATSIGHT_", "WANDB_", "DAGSTER_")):
            monkeypatch.delenv(name)


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    root.mkdir()
    return root


@pytest.fixture
def settings(data_root: Path) -> Settings:
    return load_settings(data_root)
