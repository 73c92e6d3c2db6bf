import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from beatsight_core.evaluation.predictions import Predictions
from beatsight_core.settings import Settings, load_settings

CLASSES = ("kick", "snare", "hihat_closed", "ride_bow")


@pytest.fixture(scope="session")
def predicted() -> Callable[..., Predictions]:
    """Random predictions of a given skill: 0 knows nothing, large is perfect."""

    def make(hits: int = 400, *, sessions: int = 20, seed: int = 0, skill: float = 1.5) -> Predictions:
        rng = np.random.default_rng(seed)
        targets = (rng.random((hits, 4)) < [0.4, 0.3, 0.5, 0.2]).astype(np.uint8)
        noise = np.random.default_rng([seed, int(skill * 1000)]).normal(0, 1, (hits, 4))
        sure = 1 / (1 + np.exp(-(skill * (2.0 * targets - 1) + noise)))
        place = np.arange(hits)
        frame = pl.DataFrame(
            {
                "hit_id": [f"{number:020x}" for number in place],
                "session_id": [f"session {number % sessions}" for number in place],
                "source_set": ["a" if number % sessions < sessions // 2 else "b" for number in place],
                "audio_path": [f"{number % sessions}.wav" for number in place],
                "onset_time": place * 0.5,
                "previous_gap": [None if number < sessions else 0.01 * (number % 60) for number in place],
                "next_gap": [None if number >= hits - sessions else 0.01 * (number % 60) for number in place],
                "drummer_id": [None if number % 3 else f"drummer {number % 2}" for number in place],
                "kit_id": pl.Series([None] * hits, dtype=pl.String),
                "velocities": [
                    [0.2 + 0.25 * (number % 4)] * int(count)
                    for number, count in zip(place, targets.sum(1), strict=True)
                ],
            },
            schema_overrides={"velocities": pl.List(pl.Float32)},
        )
        return Predictions(CLASSES, np.full(4, 0.5, np.float32), frame, sure.astype(np.float32), targets)

    return make


@dataclass(frozen=True)
class Contest:
    """A data root with two finished runs of one preset: the first is the champion, the later one is weaker."""

    settings: Settings
    champion: str
    later: str


@pytest.fixture(scope="session")
def contest_once(trained_once, train_once_more, tmp_path_factory) -> tuple[Path, str, str]:
    from beatsight_core.promotion.promote import promote

    source, champion = trained_once
    root = tmp_path_factory.mktemp("contest") / "data"
    shutil.copytree(source, root)
    settings = load_settings(root)
    promote(settings, champion, device="cpu")
    return root, champion, train_once_more(settings, epochs=2, lr=1e-4)


@pytest.fixture
def contest(contest_once, tmp_path) -> Contest:
    """A copy of it, to do with as one likes."""
    root, champion, later = contest_once
    shutil.copytree(root, tmp_path / "contest")
    return Contest(load_settings(tmp_path / "contest"), champion, later)
