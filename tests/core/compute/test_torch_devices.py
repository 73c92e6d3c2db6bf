"""Torch tells which devices it sees, from a process of its own."""

import importlib.util
import json
import logging
import sys
from types import SimpleNamespace

import pytest
import torch

from beatsight_core.compute import torch_devices
from beatsight_core.compute.torch_devices import ask_torch, could_see_devices, run_probe
from beatsight_core.compute.torch_probe import describe
from tests.core.compute.fake_driver import ask_anew, install_torch


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    ask_anew(monkeypatch)


def test_the_process_tells_what_the_torch_of_this_machine_sees(monkeypatch):
    answer = run_probe({"CUDA_VISIBLE_DEVICES": None})
    assert len(json.loads(answer.splitlines()[-1])) == torch.cuda.device_count()
    monkeypatch.setattr(torch_devices, "could_see_devices", lambda: True)
    monkeypatch.setattr(torch_devices, "run_probe", lambda variables: answer)
    assert len(ask_torch({})) == torch.cuda.device_count()


def test_nothing_is_started_without_the_library_of_the_driver(monkeypatch):
    monkeypatch.setattr(torch_devices, "run_probe", lambda variables: pytest.fail("a process was started"))
    monkeypatch.setattr("ctypes.CDLL", lambda name: (_ for _ in ()).throw(OSError(name)))
    assert ask_torch({}) == ()


def withheld(name):
    raise ModuleNotFoundError(name)


@pytest.mark.parametrize("find_spec", [lambda name: None, withheld])
def test_nothing_is_started_without_torch(find_spec, monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda name: None)
    assert could_see_devices()
    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    assert not could_see_devices()


def test_the_answer_is_kept_for_each_value_of_the_variables(monkeypatch):
    fake = install_torch(monkeypatch, "GPU-1")
    first = ask_torch({"CUDA_VISIBLE_DEVICES": "0", "HOME": "/one"})
    assert ask_torch({"CUDA_VISIBLE_DEVICES": "0", "HOME": "/two"}) is first
    ask_torch({"CUDA_VISIBLE_DEVICES": "1"})
    ask_torch({"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"})
    ask_torch({})
    assert [tuple(variables.values()) for variables in fake.asked] == [
        *[("0", None), ("1", None), ("1", "PCI_BUS_ID"), (None, None)]
    ]


@pytest.mark.parametrize("answer", ["", "Segmentation fault", "{}", '[{"name": "no uuid"}]', "[1]"])
def test_a_process_that_does_not_answer_counts_as_none_and_is_not_asked_again(answer, monkeypatch, caplog):
    fake = install_torch(monkeypatch, answer=answer)
    logging.getLogger("beatsight").propagate = True
    assert ask_torch({}) == ask_torch({}) == ()
    assert len(fake.asked) == 1
    assert ("Torch did not tell" in caplog.text) == (answer != "{}")


def test_a_process_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(torch_devices, "TIMEOUT_S", 0.01)  # shorter than Python itself takes to start
    assert run_probe({}) is None


def test_the_process_gets_the_variables_and_finds_no_module_beside_its_script(monkeypatch):
    seen = {}

    def fake(arguments, timeout_s, environment):
        seen.update(arguments=arguments, environment=environment)

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    monkeypatch.setenv("KEPT", "as it is")
    monkeypatch.setattr(torch_devices, "output_of", fake)
    run_probe({"CUDA_VISIBLE_DEVICES": None, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"})
    assert "CUDA_VISIBLE_DEVICES" not in seen["environment"]
    assert seen["environment"]["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert seen["environment"]["KEPT"] == "as it is"
    assert seen["arguments"][:2] == [sys.executable, "-P"]
    run_probe({"CUDA_VISIBLE_DEVICES": ""})  # which hides all devices
    assert seen["environment"]["CUDA_VISIBLE_DEVICES"] == ""


@pytest.mark.parametrize(
    ("name", "uuid", "expected"),
    [
        ("NVIDIA H200", "4f1e", "GPU-4f1e"),
        ("NVIDIA H200 MIG 1g.18gb", "4f1e", "MIG-4f1e"),
        ("NVIDIA H200", "GPU-4f1e", "GPU-4f1e"),
    ],
)
def test_a_device_is_described_as_the_driver_names_it(name, uuid, expected):
    properties = SimpleNamespace(name=name, uuid=uuid, total_memory=17)
    assert describe(properties) == {"name": name, "uuid": expected, "memory_total": 17}
