"""Differences of a CUDA device: random state, kernels, compilation, running out of memory."""

import contextlib
import functools
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

import torch

from beatsight_core.compute.trouble import device_trouble, is_out_of_memory
from beatsight_core.errors import DeviceError
from beatsight_core.training.loop import Trainer
from beatsight_core.training.machine.memory import MemoryShortError, too_little_memory
from beatsight_core.training.machine.randomness import own_random_state

logger = logging.getLogger("beatsight")

_CUBLAS, _CUBLAS_DETERMINISTIC = "CUBLAS_WORKSPACE_CONFIG", ":4096:8"
_TRIES = 3
"""A graph of kernels is warmed up, recorded, and replayed."""

_NOT_TELLING = ("backend=", "Set TORCH", "You can suppress")
"""How lines begin that torch puts around what a compiler said."""

_PARTS = 2
"""Passes of an attempt, as a step makes that accumulates gradients or was cut for want of memory."""


@contextlib.contextmanager
def training_context(device: torch.device, *, deterministic: bool = False) -> Iterator[None]:
    """Give the block a random state of its own and the fastest kernels, and explain what a device says when it fails.

    Args:
        device: Device that the block trains on.
        deterministic: Choice of kernels that give the same bits every time instead. An operation that has none is
            named in a warning of torch.

    Raises:
        TrainingError: The device has too little memory.
        DeviceError: The device, its driver or one of CUDA's libraries failed.
    """
    on_cuda = device.type == "cuda"
    with contextlib.ExitStack() as stack:
        if deterministic:
            stack.enter_context(_deterministic_kernels())
        if on_cuda:
            torch.cuda.init()  # type: ignore[no-untyped-call]  # before the random state is looked at, which a device has only then
        stack.enter_context(own_random_state())
        if on_cuda:
            stack.enter_context(torch.cuda.device(device))
            stack.enter_context(
                torch.backends.cudnn.flags(
                    enabled=True, benchmark=not deterministic, deterministic=deterministic, allow_tf32=True
                )
            )
        try:
            yield
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise too_little_memory(device, str(error)) from error
            if trouble := device_trouble(error):
                raise trouble from error
            raise


@contextlib.contextmanager
def _deterministic_kernels() -> Iterator[None]:
    """Deterministic algorithms of torch and cuBLAS; afterwards everything is as before."""
    variable, mode = os.environ.get(_CUBLAS), torch.get_deterministic_debug_mode()
    os.environ.setdefault(_CUBLAS, _CUBLAS_DETERMINISTIC)  # cuBLAS reads it when it is first used
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)
        if variable is None:
            del os.environ[_CUBLAS]


def compile_training(trainer: Trainer, n_mels: int, frames: int) -> None:
    """Train through a compiled net and compiled augmentation, each if it compiles; else say so and leave it as it is.

    With `cuda_graphs` the net's kernels are recorded and replayed; where that fails, the net is compiled without.

    Args:
        trainer: Trainer at its first step.
        n_mels: Number of bands of a spectrogram.
        frames: Number of frames of a spectrogram.

    Raises:
        DeviceError: Some of several processes could compile and others could not.
        MemoryShortError: The same, because a device had too little memory.
    """
    spectrograms = torch.zeros(trainer.largest_part, n_mels, frames, device=trainer.device)
    targets = torch.zeros(trainer.largest_part, trainer.clips.targets.shape[1], device=trainer.device)
    modes = ["reduce-overhead"] if trainer.config.cuda_graphs and trainer.device.type == "cuda" else []
    for mode in [*modes, "default"]:
        net = torch.compile(trainer.model, mode=mode)
        trainer.keep_gradients(keep=mode in modes)
        if _works(trainer, f"the net ({mode})", functools.partial(_train_once, trainer, net, spectrograms)):
            trainer.use_forward(net)
            break
    augment = torch.compile(trainer.augment)
    if _works(trainer, "augmentation", functools.partial(augment, spectrograms, targets)):
        trainer.use_augmentation(augment)


def _train_once(trainer: Trainer, net: Callable[..., torch.Tensor], spectrograms: torch.Tensor) -> None:
    """Go forward and backward as often as a step of two parts does; weights and statistics are afterwards as before."""
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.model.train()
    try:
        for _ in range(_PARTS):
            with trainer.autocast():
                logits = net(spectrograms)
            logits.float().sum().backward()  # type: ignore[no-untyped-call]
    finally:
        trainer.clear_gradients()
        trainer.model.load_state_dict(before)


def _works(trainer: Trainer, what: str, attempt: Callable[[], Any]) -> bool:
    """Try something a few times, and return whether it worked in every process; a line in the log says if not."""
    for _ in range(_TRIES):
        error: Exception | None = None
        try:
            attempt()
        except Exception as failed:  # noqa: BLE001 - compilers, their subprocesses and drivers raise errors of any kind
            error = failed
        failures = trainer.ranks.all_gather(error is not None)
        if any(failures):
            if error is not None:
                logger.warning("%s is not compiled: %s", what, _telling_line(error))
            if not all(failures):  # what the others had begun to sum up together will never be complete
                raise _divided(
                    trainer, what, trainer.ranks.all_reduce_max(int(error is not None and is_out_of_memory(error)))
                )
            return False
    return True


def _divided(trainer: Trainer, what: str, memory_is_short: int) -> Exception:
    why = f"{what} compiled in some of the {trainer.ranks.count} processes and not in the others"
    if memory_is_short:
        return too_little_memory(trainer.device, why, MemoryShortError)
    return DeviceError("The processes of a run cannot train in the same way", why=why, do="use --set compile=false")


def _telling_line(error: Exception) -> str:
    """Return the type of an error, and the first line of its text that is neither torch's frame nor torch's advice."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = next((line for line in lines if line and not line.startswith(_NOT_TELLING)), "")
    return f"{type(error).__name__}: {told[:300]}" if told else type(error).__name__
