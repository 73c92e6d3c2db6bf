import contextlib
import dataclasses
import importlib

import numpy as np
import polars as pl
import pytest
import torch

from beatsight_core.features.cache import Features
from beatsight_core.features.spec import FeatureSpec
from beatsight_core.files import write_json
from beatsight_core.progress import SilentProgress
from beatsight_core.runs import records
from beatsight_core.runs.presets import load_preset
from beatsight_core.taxonomy import CORE
from beatsight_core.training import checkpoint
from beatsight_core.training.attempt import Attempt
from beatsight_core.training.run import run_identity
from beatsight_core.training.tracking.tracking import Tracker
from tests.garbage import all_here_stays

SPEC = FeatureSpec(
    sample_rate_hz=8000, pre_ms=20.0, tail_ms=60.0, n_fft=256, hop_length=128, n_mels=16, f_min_hz=20.0,
    f_max_hz=4000.0, storage="float16",
)  # fmt: skip
HITS = {"train": 100, "val": 40, "calibration": 30}


def make_features(seed=0, bad_rows=()):
    """Spectrograms in which component c rings in band 3 c, for four components, in two arrays of different length."""
    random = np.random.default_rng(seed)
    count = sum(HITS.values())
    targets = np.zeros((count, len(CORE.components)), dtype=np.uint8)
    targets[:, :4] = random.random((count, 4)) < 0.35
    spectrograms = random.uniform(-80, -50, (count, SPEC.n_mels, SPEC.frames))
    for component in range(4):
        spectrograms[targets[:, component] == 1, 3 * component : 3 * component + 2] += 45
    spectrograms[list(bad_rows)] = np.nan
    split = random.permutation([name for name, hits in HITS.items() for _ in range(hits)])
    ids = [f"{row * 7919 % count:020x}" for row in range(count)]
    meta = pl.DataFrame({"hit_id": ids, "split": split, "source_set": ["made"] * count})
    stored = spectrograms.astype(np.float16)
    arrays, offsets = [stored[:70], stored[70:]], np.array([0, 70, count])
    return Features(SPEC, "d" * 40, arrays, targets, CORE.components, meta, offsets)


@pytest.fixture(autouse=True, scope="session")
def torch_dynamo():
    """Import torch's compiler, as the first optimizer would."""
    importlib.import_module("torch._dynamo")
    all_here_stays()


@pytest.fixture(autouse=True)
def one_thread():
    """Nets this small are not worth two threads, least of all on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def features():
    return make_features()


@pytest.fixture
def spoilt_features(features):
    """The same with a training spectrogram that holds no numbers."""
    return make_features(bad_rows=[features.rows_of("train")[5]])


@pytest.fixture
def config(settings):
    """Three epochs of six batches, two to a step."""
    few = {"epochs": 3, "batch": 16, "accumulation": 2, "least_steps": 0}
    return load_preset(settings, "warmup", {**few, "lr": 3e-3, "model": "cnn_small"})


class Stepwise(SilentProgress):
    """Calls back after every step of training."""

    def __init__(self, callback):
        super().__init__()
        self.callback, self.steps = callback, 0

    @contextlib.contextmanager
    def task(self, name, total=None, unit=""):
        with super().task(name, total, unit) as task:
            self.inner = task
            yield self

    def skip(self, count):
        self.inner.skip(count)

    def advance(self, count=1, **numbers):
        self.inner.advance(count, **numbers)
        if count:
            self.steps += 1
            self.callback(self.steps)


@pytest.fixture
def attempt(settings, features, config):
    """Makes an attempt of the run `config` on `features`; `changes` replace values of the configuration."""

    def make(folder, callback=None, features=features, **changes):
        changed = dataclasses.replace(config, **changes)
        identity = run_identity(changed, "made-00000000", features)
        path = settings.run_root / folder
        write_json(path / records.CONFIG, identity)
        progress = Stepwise(callback) if callback else SilentProgress()
        return Attempt(path, identity, changed, features, torch.device("cpu"), Tracker(), progress)

    return make


@pytest.fixture
def last_state():
    """Reads the newest checkpoint of an attempt."""
    return lambda attempt: checkpoint.load_newest(attempt.checkpoints).state
