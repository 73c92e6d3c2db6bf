"""Targets and estimates, and which targets a run met."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from benchmarks.gpu.context import Context
from benchmarks.gpu.lines import Line, finding

SMALL, DEFAULT = "cnn_small", "cnn_pair"
TARGETS = {SMALL: 150_000, DEFAULT: 50_000}
"""Least clips per second of each net in training, on one H200."""

TARGET_DEVICE = "H200"
IDLE_TARGET = 0.05
ESTIMATES = {
    ("H200", SMALL): ((180_000, 225_000), (230_000, 310_000)),
    ("H200", DEFAULT): ((92_000, 120_000), (115_000, 160_000)),
    ("3080 Ti", SMALL): ((48_000, 54_000), (60_000, 70_000)),
    ("3080 Ti", DEFAULT): ((25_000, 29_000), (31_000, 37_000)),
}
"""Clips per second that were expected, not compiled and compiled: by arithmetic on a step's bytes, operations and
launches, before anything ran on a GPU."""

MET, MISSED, NOT_MEASURED = "met", "missed", "not measured"
OTHER_DEVICE = f"not judged: the target is of an {TARGET_DEVICE}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target and what became of it.

    Attributes:
        target: The target in words.
        verdict: Met, missed, not measured, or that it is of another device.
        value: The figure; None if it was not measured.
        estimate: Least and greatest value that was expected, if there is an estimate for the device.
    """

    target: str
    verdict: str
    value: float | None
    estimate: tuple[int, int] | None = None

    def to_json(self) -> dict[str, Any]:
        """All of it but the target, which is its name."""
        return {"verdict": self.verdict, "value": self.value, "estimate": self.estimate}


def device_name(lines: Iterable[Line]) -> str | None:
    """Return the name of the device that a run was on; None on the CPU."""
    line = finding(lines, "facts", name="device")
    return None if line is None else str(line["device"])


def estimate_of(device: str | None, model: str, *, compiled: bool = False) -> tuple[int, int] | None:
    """Return the clips per second that were expected of a net on a device."""
    for (name, of_model), estimates in ESTIMATES.items():
        if device is not None and name in device and of_model == model:
            return estimates[compiled]
    return None


def expected(context: Context, model: str, *, compiled: bool = False) -> tuple[int, int] | None:
    """Return the same for the device of a stage."""
    if not context.on_cuda:
        return None
    import torch

    return estimate_of(torch.cuda.get_device_name(0), model, compiled=compiled)


def verdicts(lines: list[Line]) -> list[Verdict]:
    """Return what became of each target."""
    return [*_rates(lines), *_idle(lines), *_memory(lines)]


def _rates(lines: list[Line]) -> Iterable[Verdict]:
    device = device_name(lines)
    for model, least in TARGETS.items():
        rate = finding(lines, "rates", name="rate", model=model, enlarged=True)
        value, verdict = rate["clips_s"]["median"] if rate else None, NOT_MEASURED
        if value is not None and device is not None:
            verdict = _judged(value >= least) if TARGET_DEVICE in device else OTHER_DEVICE
        yield Verdict(
            f"{model}: >= {least:,} clips/s on one {TARGET_DEVICE}", verdict, value, estimate_of(device, model)
        )


def _idle(lines: list[Line]) -> Iterable[Verdict]:
    for model in TARGETS:
        idle = finding(lines, "kernels", name="idle", model=model)
        value = idle["idle_share"] if idle else None
        verdict = NOT_MEASURED if value is None else _judged(value < IDLE_TARGET)
        yield Verdict(f"{model}: device idle < {IDLE_TARGET:.0%} of an epoch", verdict, value)


def _memory(lines: list[Line]) -> Iterable[Verdict]:
    for model in TARGETS:
        memory = finding(lines, "judging", name="memory", model=model)
        value, limit = (memory["judging_gib"], memory["training_gib"]) if memory else (None, None)
        verdict = NOT_MEASURED if value is None else _judged(value <= limit)
        yield Verdict(f"{model}: judging takes no more memory than training", verdict, value)


def _judged(is_met: bool) -> str:
    return MET if is_met else MISSED


def failures(lines: Iterable[Line]) -> list[str]:
    """Return the checks that failed and the stages that ended badly, in words."""
    found, told = [], set()
    for line in lines:
        stage, name = line["stage"], line.get("name")
        if line["kind"] == "check" and not line["passed"]:
            found.append(f"{stage}: {name}: {line['value']}, limit {line['limit']}")
        elif line["kind"] == "error":
            found.append(f"{stage}: {name}: {_last_line(line['why'])}")
        elif line["kind"] == "end" and _ended_badly(str(name)) and not (name == "failed" and stage in told):
            found.append(f"{stage}: {name}")
        else:
            continue
        told.add(stage)
    return found


def _last_line(text: str) -> str:
    """The last line of an error's text: of a traceback, what it is about."""
    return text.strip().splitlines()[-1][:300] if text.strip() else ""


def _ended_badly(end: str) -> bool:
    return end not in ("passed", "left out", "no device")
