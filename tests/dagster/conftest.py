"""A tiny corpus whose gates pass, made once; data roots and instances of each test's own."""

import importlib.util
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import dagster as dg
import pytest

from beatsight_core.demo.corpus import make_demo
from beatsight_core.settings import Settings, load_settings
from beatsight_core.taxonomy import CORE
from beatsight_dagster.instance import prepare_home

COUNTS = ", ".join(f"{label} = 1" for label in CORE.components)
LENIENT = f"""[gates]
max_missing_rate = 0.5
max_missing_rate_per_source = 0.6
max_duplication_rate = 0.5
max_unknown_labels = 10
required_techniques = []
min_counts = {{ {COUNTS} }}"""
"""With these a hundred hits with the demo's faults pass the health gates."""


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corpus")
    make_demo(root, size="tiny")
    file = root / "beatsight.toml"
    text = file.read_text().replace("[gates]", LENIENT)
    file.write_text(text.replace("[training.warmup]", '[training.warmup]\nmodel = "cnn_small"'))
    return root


@pytest.fixture(scope="session")
def prepared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of Dagster with nothing in it, to be copied: making its databases takes seconds."""
    return prepare_home(load_settings(tmp_path_factory.mktemp("home")))


@pytest.fixture
def corpus(tiny_corpus: Path, prepared_home: Path, tmp_path: Path) -> Settings:
    """A data root with the corpus in it and nothing made of it yet."""
    root = tmp_path / "data"
    shutil.copytree(tiny_corpus, root, copy_function=_link)
    settings = load_settings(root)
    shutil.copytree(prepared_home, settings.dagster_home)
    return settings


def _link(source: str, target: str) -> None:
    Path(target).hardlink_to(source)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


@pytest.fixture(scope="session")
def beside() -> Callable[[str], ModuleType]:
    """Import a file of this folder by its stem."""

    def load(stem: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(stem, Path(__file__).parent / f"{stem}.py")
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[stem] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
