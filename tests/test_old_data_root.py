"""A data root made by version 0.1.0 opens, is read as it was, goes on, promotes and rolls back.

`tests/data/data_root_0.1.0.tar.xz` holds a tiny corpus with two promoted versions, an archived run, a health report
that was approved as baseline, and a run that was stopped in epoch 24 of 40. Its nets are all zeros, to keep it small.
"""

import tarfile
from pathlib import Path

import pytest

from beatsight_core.errors import GateError
from beatsight_core.health.compare_baseline import read_baseline
from beatsight_core.promotion.archive.check_archive import check_archives
from beatsight_core.promotion.health_record import require_health
from beatsight_core.promotion.judge import judged
from beatsight_core.promotion.promote import promote, rollback
from beatsight_core.promotion.version.model_list import list_models
from beatsight_core.runs.records import list_runs
from beatsight_core.settings import Settings, load_settings
from beatsight_core.training.run import train

ARCHIVE = Path(__file__).parent / "data" / "data_root_0.1.0.tar.xz"
STOPPED = {
    "epochs": 40, "lr": 5e-3, "warmup_epochs": 1, "batch": 16, "accumulation": 1, "augment_mix_probability": 0.3,
    "augment_noise_probability": 0.0, "augment_mask_probability": 0.0, "augment_eq_db": 0.0, "model": "cnn_small",
    "seed": 3,
}  # fmt: skip
MANIFEST = "tiny.jsonl"


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return load_settings(folder / "data")


def test_what_was_judged_then_still_holds(old: Settings) -> None:
    listed = list_models(old)
    assert listed.champion == 2
    champion = next(model for model in listed.models if model.version == 2)
    assert read_baseline(old.health_dir) is not None
    assert judged(old, champion.run_id, device="cpu").reused
    assert all(found.whole for found in check_archives(old))
    key = list_runs(old)[0].key
    with pytest.raises(GateError, match=r"\d+ of \d+ health gates failed"):  # and not that it does not hold
        require_health(old, key)


def test_a_stopped_run_goes_on_is_promoted_and_rolled_back(old: Settings) -> None:
    (stopped,) = [run for run in list_runs(old) if run.status != "finished"]
    result = train(old, MANIFEST, "warmup", overrides=STOPPED, device="cpu")
    assert (result.run_id, result.resumed) == (stopped.run_id, True)
    third = promote(old, result.run_id, device="cpu", force="a run that began in an earlier version")
    assert third.version == 3
    assert rollback(old).version == 2
    assert list_models(old).champion == 2
