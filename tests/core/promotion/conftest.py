import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from beatsight_core.promotion.promote import promote
from beatsight_core.promotion.results import PromotionResult
from beatsight_core.settings import Settings, load_settings
from tests.garbage import all_here_stays


@dataclass(frozen=True)
class Released:
    """A data root in which two runs were promoted one after the other."""

    root: Path
    first: PromotionResult
    second: PromotionResult

    @property
    def settings(self) -> Settings:
        return load_settings(self.root)


@pytest.fixture(scope="session")
def released_once(trained_once, train_once_more, tmp_path_factory) -> Released:
    """Two versions, the second one the champion. Not to be changed."""
    source, run_id = trained_once
    root = tmp_path_factory.mktemp("released") / "data"
    shutil.copytree(source, root)
    settings = load_settings(root)
    first = promote(settings, run_id, device="cpu")
    another = train_once_more(settings, seed=2)
    second = promote(settings, another, device="cpu")
    all_here_stays()
    return Released(root, first, second)


@pytest.fixture
def released(released_once, tmp_path) -> Released:
    """A copy of the two versions, to do with as one likes."""
    shutil.copytree(released_once.root, tmp_path / "released", symlinks=True)
    return Released(tmp_path / "released", released_once.first, released_once.second)
