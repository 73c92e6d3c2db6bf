"""A driver that is not there: a stand-in for the module `pynvml`, and one for the process that asks torch."""

import functools
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from beatsight_core.compute import torch_devices

GIB = 2**30


class NVMLError(Exception):
    """What NVML raises for every refusal."""


@dataclass
class FakeGpu:
    """A GPU, or a MIG instance of one."""

    uuid: str
    name: str = "NVIDIA H200"
    total: int = 140 * GIB
    used: int = 0
    mig: bool = False
    instances: tuple["FakeGpu", ...] = ()
    refuses: frozenset[str] = field(default_factory=frozenset)  # the questions that it does not answer


class FakeNvml:
    """Answers as NVML does for these GPUs; `text` makes its strings bytes, as older bindings do."""

    NVMLError = NVMLError
    NVML_DEVICE_MIG_ENABLE = 1

    def __init__(self, *gpus: FakeGpu, text: Any = str):
        self.gpus, self.text, self.opened = gpus, text, 0

    def nvmlInit(self) -> None:  # noqa: N802 - NVML's own names
        self.opened += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.opened -= 1

    def nvmlSystemGetDriverVersion(self) -> Any:  # noqa: N802
        return self.text("580.65.06")

    def nvmlSystemGetCudaDriverVersion(self) -> int:  # noqa: N802
        return 13000

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        assert self.opened == 1
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> FakeGpu:  # noqa: N802
        return self._ask(self.gpus[index], "open")

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> FakeGpu:  # noqa: N802
        everything = [*self.gpus, *(instance for gpu in self.gpus for instance in gpu.instances)]
        found = [gpu for gpu in everything if gpu.uuid == uuid]
        if not found:
            raise NVMLError("Not Found")
        return found[0]

    def nvmlDeviceGetName(self, gpu: FakeGpu) -> Any:  # noqa: N802
        return self.text(self._ask(gpu, "name").name)

    def nvmlDeviceGetUUID(self, gpu: FakeGpu) -> Any:  # noqa: N802
        return self.text(self._ask(gpu, "uuid").uuid)

    def nvmlDeviceGetMemoryInfo(self, gpu: FakeGpu) -> Any:  # noqa: N802
        return SimpleNamespace(total=self._ask(gpu, "memory").total, used=gpu.used)

    def nvmlDeviceGetUtilizationRates(self, gpu: FakeGpu) -> Any:  # noqa: N802
        if gpu.uuid.startswith("MIG-"):
            raise NVMLError("Not Supported")
        return SimpleNamespace(gpu=50)

    def nvmlDeviceGetMigMode(self, gpu: FakeGpu) -> list[int]:  # noqa: N802
        return [int(self._ask(gpu, "mig").mig)] * 2

    def nvmlDeviceGetMaxMigDeviceCount(self, gpu: FakeGpu) -> int:  # noqa: N802
        self._ask(gpu, "instances")
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, gpu: FakeGpu, index: int) -> FakeGpu:  # noqa: N802
        if index >= len(gpu.instances):
            raise NVMLError("Not Found")
        return self._ask(gpu.instances[index], "open")

    def _ask(self, gpu: FakeGpu, question: str) -> FakeGpu:
        if question in gpu.refuses:
            raise NVMLError("Insufficient Permissions")
        return gpu


def no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither NVML nor nvidia-smi, on this machine too."""
    monkeypatch.setitem(sys.modules, "pynvml", None)  # importing it fails
    monkeypatch.setattr("shutil.which", lambda program, *_: None)


def install(monkeypatch: pytest.MonkeyPatch, *gpus: FakeGpu, **options: Any) -> FakeNvml:
    """A driver with these GPUs."""
    no_driver(monkeypatch)
    fake = FakeNvml(*gpus, **options)
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


class FakeTorch:
    """Stands for the process that asks torch; `asked` holds the variables of each start."""

    def __init__(self, *uuids: str, answer: str | None = None):
        devices = [{"name": "seen by torch", "uuid": uuid, "memory_total": 8 * GIB} for uuid in uuids]
        self.answer = json.dumps(devices) if answer is None else answer
        self.asked = list[Mapping[str, str | None]]()

    def __call__(self, variables: Mapping[str, str | None]) -> str:
        self.asked.append(dict(variables))
        return self.answer


def ask_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that torch answered before is kept, nor anything from this test for the next."""
    seen = torch_devices._seen
    monkeypatch.setattr(torch_devices, "_seen", functools.lru_cache(**seen.cache_parameters())(seen.__wrapped__))


def install_torch(monkeypatch: pytest.MonkeyPatch, *uuids: str, answer: str | None = None) -> FakeTorch:
    """A torch that sees these devices, on a machine with the driver's CUDA library."""
    fake = FakeTorch(*uuids, answer=answer)
    ask_anew(monkeypatch)
    monkeypatch.setattr(torch_devices, "could_see_devices", lambda: True)
    monkeypatch.setattr(torch_devices, "run_probe", fake)
    return fake
