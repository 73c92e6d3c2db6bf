"""Training on one GPU: what the script `benchmarks.gpu` found, as lines of the table. It needs no corpus.

Where there is no CUDA device the row says so. Lines of a run on another machine are taken in with `GPU_LINES=FILE`
(`--gpu-lines`): the figures then stand under that machine and its versions.
"""

import sys
from collections.abc import Iterable
from typing import Any

from benchmarks.bench import PROJECT, TINY, Bench
from benchmarks.figures import Figure, Target
from benchmarks.gpu.context import FAILED, LINES, NO_DEVICE, PASSED
from benchmarks.gpu.lines import Line, finding, findings, first, read_lines
from benchmarks.gpu.summary import IDLE_TARGET, TARGET_DEVICE, TARGETS, device_name, failures
from benchmarks.measure import take

_LONGEST_NOTE = 1000


def measure(bench: Bench) -> list[Figure]:
    """Figures of a run on this machine, or of the lines that were brought from another."""
    return figures_of(lines_of(bench))


def lines_of(bench: Bench) -> list[Line]:
    """Return the lines of a run.

    Raises:
        RuntimeError: The script failed in another way than its checks do.
        ValueError: The file given holds no lines of a run.
    """
    if bench.gpu_lines is None:
        return _run(bench)
    lines = read_lines(bench.gpu_lines)
    if first(lines, "begin") is None:
        raise ValueError(f"{bench.gpu_lines} holds no lines of benchmarks.gpu")
    return lines


def _run(bench: Bench) -> list[Line]:
    """Run the script on a device that is leased from the machine, where it has one."""
    from beatsight_core.compute.hold import device_for
    from beatsight_core.errors import DeviceError

    out = bench.data / "gpu"
    size = ["--tiny"] if bench.scale is TINY else []
    try:
        with device_for("auto", {"work": "make bench"}):
            command = [sys.executable, "-m", "benchmarks.gpu", out, *size]
            take(command, allowed=(PASSED, FAILED, NO_DEVICE), folder=PROJECT)
    except DeviceError as error:
        return [{"kind": "no_device", "stage": "facts", "why": str(error)}]
    return read_lines(out / LINES)


def about(lines: Iterable[Line]) -> dict[str, Any]:
    """Return the machine, versions and time of a run; empty if it says nothing of them."""
    line = first(lines, "about")
    return {} if line is None else {"machine": line["machine"], "versions": line["versions"], "at": line["time"]}


def figures_of(lines: list[Line]) -> list[Figure]:
    """Return what a run found: rates beside their targets, idle shares, epochs, memory, and the checks that failed."""
    if device_name(lines) is None:
        return [_not_measured(model, _why_none(lines)) for model in TARGETS]
    return [*_rates(lines), *_compiled(lines), *_idle(lines), *_epochs(lines), *_memory(lines), _checks(lines)]


def _why_none(lines: list[Line]) -> str:
    """Why a run says nothing of a CUDA device."""
    if first(lines, "no_device") is not None:
        return "no CUDA device here"
    begin = first(lines, "begin")
    return "it ran on the CPU" if begin and begin["device"] == "cpu" else _how_it_ended(lines, "facts")


def _not_measured(model: str, why: str) -> Figure:
    target, target_is = _target(model, TARGET_DEVICE)
    return Figure(_training(model), "clips/s", (), target=target, target_is=target_is, note=f"not measured: {why}")


def _training(model: str) -> str:
    return f"training {model} on one GPU"


def _target(model: str, device: str) -> tuple[Target | None, str]:
    """The target of a net on a device; none on another than the one that it is for."""
    if TARGET_DEVICE not in device:
        return None, ""
    least = TARGETS[model]
    return Target(least, "value", at_least=True), f">= {least:,} clips/s on one {TARGET_DEVICE}"


def _rates(lines: list[Line]) -> Iterable[Figure]:
    device, machine = str(device_name(lines)), _machine(lines)
    for model in TARGETS:
        rates = findings(lines, "rates", name="rate", model=model)
        if not any(line["enlarged"] for line in rates):
            yield _not_measured(model, _how_it_ended(lines, "rates"))
        for line in rates:
            target, target_is = _target(model, device) if line["enlarged"] else (None, "")
            estimate = line["estimate"]
            expected = f"expected: {estimate[0]:,} to {estimate[1]:,}; " if estimate else ""
            yield Figure(
                f"{_training(model)}, batches of {line['batch']}", "clips/s", tuple(line["each"]),
                tuple(line["net_alone_each"]), "net alone", target=target, target_is=target_is,
                note=f"{machine}; {expected}{line['ms_a_step']:.3g} ms a step, of which the host takes "
                f"{line['host_ms']:.3g}; {line['waits_s']:.2g} s of waits for data; {_gib(line['peak_gib'])} a step",
            )  # fmt: skip


def _compiled(lines: list[Line]) -> Iterable[Figure]:
    for line in findings(lines, "compiled", name="way"):
        note = f"{line['torch']} ({line['pin']}); compiling took {line['compile_s']:.0f} s"
        yield Figure(f"{_training(line['model'])}, compiled", "clips/s", tuple(line["each"]), note=note)


def _idle(lines: list[Line]) -> Iterable[Figure]:
    limit = 100.0 * IDLE_TARGET
    for line in findings(lines, "kernels", name="idle"):
        if line["idle_share"] is None:
            continue
        yield Figure(
            f"idle share of the GPU, {line['model']}", "%", (100.0 * line["idle_share"],),
            target=Target(limit, "value"), target_is=f"< {limit:.0f} %",
            note=f"profiler's device time over the time of {line['steps']} steps; with the time of a step that is not "
            f"profiled, {100.0 * line['idle_share_unprofiled']:.1f} %",
        )  # fmt: skip


def _epochs(lines: list[Line]) -> Iterable[Figure]:
    for line in findings(lines, "epoch", name="epoch"):
        whole = line["training_s"] + line["judging_s"]
        yield Figure(
            f"epoch of {line['clips']:,} clips with judging on one GPU, {line['model']}", "s", (whole,),
            note=f"training {line['training_s']:.1f} s{_idle_of(line)}; judging of {line['judged']:,} clips "
            f"{line['judging_s']:.1f} s; the host waited for the device {line['waits']} times",
        )  # fmt: skip


def _idle_of(line: Line) -> str:
    return "" if line["idle_share"] is None else f", idle {100.0 * line['idle_share']:.1f} % of that"


def _memory(lines: list[Line]) -> Iterable[Figure]:
    for line in findings(lines, "judging", name="memory"):
        yield Figure(
            f"memory of judging on one GPU, {line['model']}", "GiB", (line["judging_gib"],), (line["training_gib"],),
            "a training step", target=Target(1.0), target_is="<= a training step",
        )  # fmt: skip


def _checks(lines: list[Line]) -> Figure:
    """How many checks failed, and which."""
    failed, passed = failures(lines), sum(line["kind"] == "check" and line["passed"] for line in lines)
    left_out = [f"{line['stage']}: {line['name']}" for line in lines if line["kind"] == "left_out"]
    said = [f"{passed} passed", *failed, f"left out: {', '.join(left_out)}" if left_out else "nothing left out"]
    note = "; ".join(" ".join(text.split()) for text in said)[:_LONGEST_NOTE].replace("|", "/")
    return Figure(
        "checks that failed on one GPU", "checks", (float(len(failed)),), target=Target(0.0, "value"), target_is="0",
        note=note,
    )  # fmt: skip


def _machine(lines: list[Line]) -> str:
    """The device and what drives it, in words."""
    begin, torch = first(lines, "begin") or {}, finding(lines, "facts", name="torch") or {}
    driver, libraries = finding(lines, "facts", name="driver") or {}, finding(lines, "facts", name="libraries") or {}
    stands = torch.get("stands", begin.get("pin", ""))
    return (
        f"{device_name(lines)}, torch {torch.get('version')} ({stands}), CUDA {torch.get('cuda')}, "
        f"cuDNN {libraries.get('cudnn')}, driver {driver.get('driver')}"
    )


def _how_it_ended(lines: list[Line], stage: str) -> str:
    ends = [str(line["name"]) for line in lines if line["kind"] == "end" and line["stage"] == stage]
    return f"the stage {stage} {ends[0]}" if ends else f"the stage {stage} did not run to its end"


def _gib(value: float | None) -> str:
    return "no memory known" if value is None else f"{value:.2g} GiB"
