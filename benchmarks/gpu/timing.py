"""How fast, how much memory, and how long the device is busy."""

import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.gpu.context import Context

GIB = 2.0**30
_NOT_WORK = ("ProfilerStep", "Optimizer.", "## ")
"""Names of ranges that a profiler draws around kernels; they are no work of the device."""


def spread(values: Sequence[float], digits: int = 4) -> dict[str, float]:
    """Return minimum, median, maximum and number of some values."""
    rounded = [float(f"{value:.{digits}g}") for value in (min(values), statistics.median(values), max(values))]
    return {"min": rounded[0], "median": rounded[1], "max": rounded[2], "n": len(values)}


def synchronize(device: Any) -> None:
    """Wait until a device has done all that it was told to."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast a trainer is.

    Attributes:
        clips_s: Clips per second of each timed epoch.
        ms_a_step: Milliseconds of a step, median.
        waits_s: Seconds that the loop stood still for data, in all timed epochs.
    """

    clips_s: list[float]
    ms_a_step: float
    waits_s: float

    def to_json(self) -> dict[str, Any]:
        """All of it, rates as a spread and one by one."""
        return {
            "clips_s": spread(self.clips_s),
            "each": [round(rate) for rate in self.clips_s],
            "ms_a_step": round(self.ms_a_step, 3),
            "waits_s": round(self.waits_s, 4),
        }


def training_rate(trainer: Any, repeats: int = 3) -> Rate:
    """Train an epoch to warm up, then some that are timed, as a run trains them."""
    numbers = [_epoch(trainer) for _ in range(1 + repeats)][1:]
    steps = trainer.steps_per_epoch
    return Rate(
        [each.clips / each.seconds for each in numbers],
        1e3 * statistics.median(each.seconds for each in numbers) / steps,
        sum(each.data_wait_seconds for each in numbers),
    )


def net_alone_rate(trainer: Any, steps: int, repeats: int = 3) -> list[float]:
    """Clips per second of forward and backward of a trainer's net, on one batch that lies on the device already.

    Args:
        trainer: Its net is copied; its batch and its precision are used.
        steps: Steps of a repeat.
        repeats: Timed repeats.
    """
    import copy

    import torch

    net, size = copy.deepcopy(trainer.model).train(), trainer.config.batch
    decibels, targets = trainer.clips.batch(trainer.clips.prepare_rows(torch.arange(size)))

    def step() -> None:
        with trainer.autocast():
            logits = net(decibels)
        logits = logits.float()  # of one answer, or of several
        torch.nn.functional.binary_cross_entropy_with_logits(logits, targets.expand_as(logits)).backward()
        net.zero_grad(set_to_none=True)

    for _ in range(min(steps, 10)):
        step()
    rates = []
    for _ in range(repeats):
        synchronize(trainer.device)
        began = time.perf_counter()
        for _ in range(steps):
            step()
        synchronize(trainer.device)
        rates.append(steps * size / (time.perf_counter() - began))
    return rates


def host_ms(trainer: Any) -> float:
    """Milliseconds that the host takes to hand a step to an idle device, median over an epoch's steps.

    The device is waited for after each step, so the queue is empty when the next one begins: with a full queue the host
    would stand still, and its time would be the device's.
    """
    watch = _HostWatch(trainer.device)
    trainer.train_epoch(watch)
    trainer.end_epoch(0.0)
    return 1e3 * statistics.median(watch.seconds or [0.0])


class _HostWatch:
    """Called after each step."""

    def __init__(self, device: Any):
        self._device, self._began, self.seconds = device, 0.0, list[float]()

    def __call__(self, _: int) -> None:
        if self._began:
            self.seconds.append(time.perf_counter() - self._began)
        synchronize(self._device)
        self._began = time.perf_counter()


class Peak:
    """Most memory that torch allocated on a device in a block, beyond what there was before. On the CPU: nothing.

    Attributes:
        gib: GiB beyond what was there before.
        reserved_gib: GiB that torch had taken from the device at most, in all.
    """

    def __init__(self, device: Any):
        self._device, self.gib, self.reserved_gib = device, None, None

    def __enter__(self) -> "Peak":
        if self._device.type == "cuda":
            import torch

            synchronize(self._device)
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self._device)
            self._before = torch.cuda.memory_allocated(self._device)
        return self

    def __exit__(self, *_: object) -> None:
        if self._device.type == "cuda":
            import torch

            synchronize(self._device)
            self.gib = (torch.cuda.max_memory_allocated(self._device) - self._before) / GIB
            self.reserved_gib = torch.cuda.max_memory_reserved(self._device) / GIB


@dataclass(frozen=True, slots=True)
class Profile:
    """What a profiler saw of some steps.

    Attributes:
        steps: Number of steps.
        wall_s: Seconds that they took, profiled.
        busy_s: Seconds in which at least one kernel or copy ran on the device; None where the profiler saw none, as on
            the CPU, or where it may not look.
        launches: Kernels and copies of a step.
        top: Name, number a step, and milliseconds a step of what took longest: kernels, on the CPU operators.
    """

    steps: int
    wall_s: float
    busy_s: float | None
    launches: float
    top: list[tuple[str, float, float]]

    @property
    def idle_share(self) -> float | None:
        """Share of the time in which the device did nothing; the profiler's own cost is in it."""
        return None if self.busy_s is None else max(0.0, 1.0 - self.busy_s / self.wall_s)

    def idle_share_at(self, ms_a_step: float) -> float | None:
        """The same with the device's time from the profiler, and that of a step as measured without it."""
        return None if self.busy_s is None else max(0.0, 1.0 - 1e3 * self.busy_s / self.steps / ms_a_step)


def profiled_epoch(context: Context, trainer: Any, top: int = 12) -> Profile:
    """Train an epoch under torch's profiler. It must be a short one: each kernel becomes an object."""
    from torch import profiler

    steps = trainer.steps_per_epoch
    kind = profiler.ProfilerActivity.CUDA if context.on_cuda else profiler.ProfilerActivity.CPU
    if kind not in profiler.supported_activities():  # where a profiler may not look at the device
        return Profile(steps, _epoch(trainer).seconds, None, 0.0, [])
    with profiler.profile(activities=[kind]) as seen:
        numbers = _epoch(trainer)
    if not context.on_cuda:
        operators = sorted(seen.key_averages(), key=lambda row: -row.self_cpu_time_total)[:top]
        rows = [(row.key, row.count / steps, row.self_cpu_time_total / 1e3 / steps) for row in operators]
        return Profile(steps, numbers.seconds, None, 0.0, rows)
    work = [event for event in seen.events() if _is_work(event)]
    busy_s = covered((event.time_range.start, event.time_range.end) for event in work) / 1e6 or None
    return Profile(steps, numbers.seconds, busy_s, len(work) / steps, _longest(work, steps, top))


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """Return the length of what spans of time cover together; where they overlap it counts once."""
    total, end = 0.0, float("-inf")
    for start, stop in sorted(spans):
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total


def _is_work(event: Any) -> bool:
    drawn = getattr(event, "is_user_annotation", False) or event.name.startswith(_NOT_WORK)
    return event.device_type.name == "CUDA" and not drawn


def _longest(work: list[Any], steps: int, top: int) -> list[tuple[str, float, float]]:
    sums: dict[str, tuple[int, float]] = {}
    for event in work:
        count, spent = sums.get(event.name, (0, 0.0))
        sums[event.name] = count + 1, spent + event.time_range.end - event.time_range.start
    longest = sorted(sums.items(), key=lambda item: -item[1][1])[:top]
    return [(name[:90], round(count / steps, 2), round(spent / 1e3 / steps, 4)) for name, (count, spent) in longest]


def _epoch(trainer: Any) -> Any:
    """Train an epoch to its end; its numbers."""
    numbers = trainer.train_epoch(lambda _: None)
    trainer.end_epoch(0.0)
    return numbers
