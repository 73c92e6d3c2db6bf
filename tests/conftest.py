"""A clean environment for every test: no BEATSIGHT_* or tracking variable of the caller reaches it."""

import gc
import os
import signal
import sys
from pathlib import Path

# Torch's threads spin while they wait: on tiny models and busy cores one thread is many times faster than two.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest

from beatsight_core.settings import Settings, load_settings
from tests.quick import be_quick

# Hundreds of processes are started here: without compiled modules each of them compiles ours again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# A shell that starts the tests in the background lets them, and what they start, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

TOGETHER = ("tests/core/promotion/",)
"""Folders whose tests go to one process, where several run: they share versions that take half a minute to make."""
_RANK = {"core": 1}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="only tests without torch and without other processes")


def pytest_configure(config: pytest.Config) -> None:
    if config.option.quick:
        be_quick(config)


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one process run what shares costly fixtures, and begin with what takes longest."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    items.sort(key=lambda item: _RANK.get(_group(item).split("/")[1], 0))


def _group(item: pytest.Item) -> str:
    place = item.nodeid.partition("::")[0]
    return next((room for room in TOGETHER if place.startswith(room)), place)


def pytest_collection_finish() -> None:
    """Spare the collections of garbage, which training asks for, the thousands of modules that stay anyway."""
    gc.collect()
    gc.freeze()


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
