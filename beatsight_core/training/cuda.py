"""What differs on a CUDA device: random state, kernels, compilation, running out of memory."""

import contextlib
import functools
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

import torch

from beatsight_core.training.loop import Trainer
from beatsight_core.training.memory import too_little_memory
from beatsight_core.training.randomness import own_random_state

logger = logging.getLogger("beatsight")

_CUBLAS, _CUBLAS_DETERMINISTIC = "CUBLAS_WORKSPACE_CONFIG", ":4096:8"
_TRIES = 3
"""A graph of kernels is warmed up, recorded, and replayed."""


@contextlib.contextmanager
def training_context(device: torch.device, *, deterministic: bool = False) -> Iterator[None]:
    """Random state of its own and the fastest kernels while the block runs; running out of memory is explained.

    Args:
        device: Where the block trains.
        deterministic: Use kernels that give the same bits every time instead. An operation that has none is named in a
            warning of torch.

    Raises:
        TrainingError: The device has too little memory.
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
        except torch.OutOfMemoryError as error:
            raise too_little_memory(device, str(error)) from error


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

    With `cuda_graphs` the net's kernels are recorded and replayed; where that fails, it is compiled without.

    Args:
        trainer: At its first step.
        n_mels: Bands of a picture.
        frames: Frames of a picture.
    """
    pictures = torch.zeros(trainer.largest_part, n_mels, frames, device=trainer.device)
    targets = torch.zeros(trainer.largest_part, trainer.clips.targets.shape[1], device=trainer.device)
    modes = ["reduce-overhead"] if trainer.config.cuda_graphs and trainer.device.type == "cuda" else []
    for mode in [*modes, "default"]:
        net = torch.compile(trainer.model, mode=mode)
        if _works(f"the net ({mode})", functools.partial(_train_once, trainer, net, pictures)):
            trainer.use_forward(net)
            break
    augment = torch.compile(trainer.augment)
    if _works("augmentation", functools.partial(augment, pictures, targets)):
        trainer.use_augmentation(augment)


def _train_once(trainer: Trainer, net: Callable[..., torch.Tensor], pictures: torch.Tensor) -> None:
    """Forward and backward; the net's weights and statistics are afterwards as before."""
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.model.train()
    try:
        with trainer.autocast():
            logits = net(pictures)
        logits.float().sum().backward()  # type: ignore[no-untyped-call]
    finally:
        trainer.optimizer.zero_grad(set_to_none=True)
        trainer.model.load_state_dict(before)


def _works(what: str, attempt: Callable[[], Any]) -> bool:
    try:
        for _ in range(_TRIES):
            attempt()
    except (RuntimeError, ImportError, OSError) as error:
        logger.warning("%s is not compiled: %s", what, str(error).strip().split("\n", 1)[0])
        return False
    return True
