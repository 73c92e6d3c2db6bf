"""One tiny demo corpus for all tests of this folder."""

from pathlib import Path

import pytest

from beatsight_core.demo.corpus import DemoCorpus, make_demo


@pytest.fixture(scope="session")
def demo_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "data"


@pytest.fixture(scope="session")
def corpus(demo_root: Path) -> DemoCorpus:
    return make_demo(demo_root, size="tiny", workers=2)
