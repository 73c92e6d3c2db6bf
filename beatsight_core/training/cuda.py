"""What differs on a CUDA device: random state, compilation, running out of memory."""

import contextlib
import logging
from collections.abc import Iterator

import torch

from beatsight_core.errors import TrainingError
from beatsight_core.training.loop import Trainer

logger = logging.getLogger("beatsight")


@contextlib.contextmanager
def training_context(device: torch.device) -> Iterator[None]:
    """Random state of its own and the fastest kernels while the block runs; running out of memory is explained.

    Raises:
        TrainingError: The device has too little memory.
    """
    on_cuda = device.type == "cuda"
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=[device] if on_cuda else []))
        if on_cuda:
            stack.enter_context(torch.cuda.device(device))
            stack.enter_context(torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=True))
        try:
            yield
        except torch.OutOfMemoryError as error:
            raise TrainingError(
                f"Device {device} has too little memory",
                why=str(error).split(". ", 1)[0],
                do="use a smaller batch with more accumulation: --set batch=... --set accumulation=...",
            ) from error


def compile_forward(trainer: Trainer, n_mels: int, frames: int) -> None:
    """Train through a compiled net if it compiles, else say so and go on as before. Weights and statistics stay."""
    compiled = torch.compile(trainer.model)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.model.train()
    try:
        pictures = torch.zeros(trainer.config.batch, n_mels, frames, device=trainer.device)
        with trainer.autocast():
            compiled(pictures).float().sum().backward()
    except (RuntimeError, ImportError, OSError) as error:
        logger.warning("the net is not compiled: %s", str(error).strip().split("\n", 1)[0])
    else:
        trainer.use_forward(compiled)
    trainer.optimizer.zero_grad(set_to_none=True)
    trainer.model.load_state_dict(before)
