"""What a run ran on, attempt by attempt."""

import dataclasses
import logging

import torch

from beatsight_core.files import read_json, write_json
from beatsight_core.runs import records
from beatsight_core.runs.environment import environment_rows, read_environment, record_environment
from beatsight_core.runs.presets import load_preset


def test_an_attempt_elsewhere_is_kept_and_one_that_is_equal_is_not(settings, tmp_path):
    config = load_preset(settings, "warmup")
    first = record_environment(tmp_path, "cpu", config)
    assert first["earlier"] == []
    assert record_environment(tmp_path, "cpu", config)["earlier"] == []

    path = tmp_path / records.ENVIRONMENT
    elsewhere = {**read_json(path), "host": "other", "driver": {"driver": "570.1", "cuda": "12.8", "source": "nvml"}}
    write_json(path, elsewhere)
    now = record_environment(tmp_path, "cpu", dataclasses.replace(config, deterministic=True))
    assert [attempt["host"] for attempt in now["earlier"]] == ["other"]
    assert now["first_sitting"] == first["time"]
    assert (now["deterministic"], now["seeds"]) == (True, {"training": 1337})
    assert len(record_environment(tmp_path, "cpu", config)["earlier"]) == 2
    assert read_environment(tmp_path) == read_json(path)

    rows = {row["what"]: row["value"] for row in environment_rows(now)}
    assert {"device", "GPUs", "driver", "CUDA", "cuDNN", "torch", "platform", "revision", "seed"} <= rows.keys()
    (told,) = [value for what, value in rows.items() if what.startswith("earlier")]
    assert "host: other" in told
    assert "570.1" in told


def test_a_file_of_an_older_kind_is_read(settings, tmp_path):
    config = load_preset(settings, "warmup")
    record_environment(tmp_path, "cpu", config)
    path = tmp_path / records.ENVIRONMENT
    old = {name: value for name, value in read_json(path).items() if name not in ("earlier", "first_sitting", "host")}
    write_json(path, {**old, "time": "2025-11-09T08:00:00+00:00"})
    now = record_environment(tmp_path, "cpu", config)
    assert now["first_sitting"] == "2025-11-09T08:00:00+00:00"
    assert len(now["earlier"]) == 1
    assert environment_rows({}) == []


def test_a_cudnn_that_torch_refuses_is_told_at_the_start_and_kept(settings, tmp_path, monkeypatch, caplog):
    def refused():
        raise RuntimeError("cuDNN version incompatibility: PyTorch was compiled against (9, 13, 0)")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.backends.cudnn, "version", refused)
    caplog.set_level(logging.INFO, "beatsight")
    logging.getLogger("beatsight").propagate = True
    environment = record_environment(tmp_path, "cpu", load_preset(settings, "warmup"))
    assert environment["cudnn"] is None
    assert "beatsight doctor`: cuDNN version incompatibility" in caplog.text
    (row,) = [row for row in environment_rows(read_environment(tmp_path)) if row["what"] == "cuDNN"]
    assert row["value"].startswith("cuDNN version incompatibility")
