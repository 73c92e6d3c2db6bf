"""The use that an attempt makes of its machine while an epoch runs: processors, memory, and how busy the devices are.

Devices are asked through NVML by a thread, once a second: that neither waits for the device nor makes it wait. Those
that this process can see are asked, which are those leased to it. Without NVML their numbers are None. A MIG instance
tells its memory, and not how busy it is.
"""

import contextlib
import os
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import psutil

from beatsight_core.compute.gpus import UUID_PREFIXES
from beatsight_core.runs.records import MachineUse

SAMPLE_EVERY_S = 1.0


class Watch:
    """Watches this process and its devices while the block runs.

    Args:
        on_cuda: True if the run trains on CUDA devices; if not, no device is asked.
    """

    def __init__(self, *, on_cuda: bool):
        self._process = psutil.Process()
        self._devices = _NvmlDevices(possible_uuids()) if on_cuda else None
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None
        self._busy: list[float] = []
        self._memory = 0
        self._since, self._spent_s = time.monotonic(), self._cpu_seconds()

    def __enter__(self) -> "Watch":
        if self._devices is not None and self._devices.handles:
            self._thread = threading.Thread(target=self._sample, name="device-watch", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(SAMPLE_EVERY_S)  # a driver that hangs is left alone

    def take(self) -> MachineUse:
        """Return the figures since the last call."""
        now, spent = time.monotonic(), self._cpu_seconds()
        share = (spent - self._spent_s) / max(now - self._since, 1e-9) / (os.cpu_count() or 1)
        self._since, self._spent_s = now, spent
        with self._lock:
            busy, self._busy = self._busy, []
            memory, self._memory = self._memory, 0
        return {
            "cpu_share": min(share, 1.0),
            "memory_bytes": self._process.memory_info().rss,
            "device_utilisation": sum(busy) / len(busy) if busy else None,
            "device_memory_bytes": memory or None,
        }

    def _cpu_seconds(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def _sample(self) -> None:
        assert self._devices is not None
        while not self._stop.wait(SAMPLE_EVERY_S):
            seen = self._devices.look()
            with self._lock:
                self._busy += [busy for busy, _ in seen if busy is not None]
                self._memory = max([self._memory, *(memory for _, memory in seen)])


def possible_uuids() -> list[tuple[str, ...]]:
    """Return, for each device that torch sees in this process, the UUIDs by which NVML may know it, likeliest first.

    A lease names its devices in `CUDA_VISIBLE_DEVICES` as NVML does. Torch leaves out whether a UUID is that of a GPU
    or that of a MIG instance.
    """
    import torch

    words = [word.strip() for word in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    found = list[tuple[str, ...]]()
    for number in range(torch.cuda.device_count()):
        named = [word for word in words[number : number + 1] if word.startswith(UUID_PREFIXES)]
        uuid = str(torch.cuda.get_device_properties(number).uuid)
        whole = [uuid] if uuid.startswith(UUID_PREFIXES) else [prefix + uuid for prefix in UUID_PREFIXES]
        found.append((*named, *whole))
    return found


class _NvmlDevices:
    """NVML's handles of some devices, without those that NVML does not know; none where NVML is not there.

    Args:
        devices: UUIDs by which each device may be known.
    """

    def __init__(self, devices: Sequence[Sequence[str]]):
        self.handles: list[Any] = []
        try:
            import pynvml
        except ImportError:
            return
        self._nvml = pynvml
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError:
            return
        self.handles = [handle for uuids in devices if (handle := self._handle(uuids)) is not None]

    def _handle(self, uuids: Sequence[str]) -> Any | None:
        for uuid in uuids:
            with contextlib.suppress(self._nvml.NVMLError):
                return self._nvml.nvmlDeviceGetHandleByUUID(uuid)
        return None

    def look(self) -> list[tuple[float | None, int]]:
        """Return (share of time busy, or None where the device does not tell; bytes in use) of each device."""
        seen = []
        for handle in self.handles:
            busy, memory = None, 0
            with contextlib.suppress(self._nvml.NVMLError):
                memory = int(self._nvml.nvmlDeviceGetMemoryInfo(handle).used)
                busy = self._nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100.0
            seen.append((busy, memory))
        return seen
