"""Predict clips batch by batch, at the speed of the net alone."""

import logging

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from beatsight_core.compute.trouble import is_out_of_memory
from beatsight_core.features.cores import on_all_cores
from beatsight_core.training.data.batches import ClipStore, in_batches
from beatsight_core.training.data.feeding import Feed

logger = logging.getLogger("beatsight")

CPU_EVAL_BATCH = 64
CUDA_EVAL_BATCH = 1024
"""Clips at a time. In float32 the default net then takes 0.8 GiB; a training step of as many takes more than twice as
much. Larger batches are not faster."""


@torch.inference_mode()
def predict_clips(model: nn.Module, clips: ClipStore, batch: int = CUDA_EVAL_BATCH) -> npt.NDArray[np.float32]:
    """Return the probabilities (N, classes) of all clips, in order.

    In float32; on CUDA devices from Ampere on, convolutions multiply in TF32, which moves a probability by about 0.001.

    Args:
        model: Net on the device of the clips.
        clips: Clips to predict.
        batch: Number of clips at a time on a CUDA device, at most `CUDA_EVAL_BATCH`; halved as often as memory is too
            short.

    Raises:
        torch.OutOfMemoryError: The device has too little memory for a single clip.
    """
    model.eval()
    if clips.device.type == "cpu":
        parts = _predict_on_cores(model, clips)
    else:
        parts = _predict_in_turn(model, clips, min(batch, CUDA_EVAL_BATCH))
    result: npt.NDArray[np.float32] = torch.cat(parts).float().cpu().numpy()
    return result


def _predict_in_turn(model: nn.Module, clips: ClipStore, size: int) -> list[torch.Tensor]:
    """Return the probabilities of all clips in parts of `size`; half as large after a shortage of memory."""
    parts: list[torch.Tensor] = []
    rows = clips.prepare_rows(torch.arange(len(clips)))
    while len(rows):
        try:
            with Feed(clips, torch.split(rows, size)) as batches:
                for decibels, _ in batches:
                    parts.append(torch.sigmoid(model(decibels)))
                    rows = rows[len(decibels) :]
        except RuntimeError as error:
            if size == 1 or not is_out_of_memory(error):
                raise
            size //= 2
        else:
            break
        # Only now nothing refers to what the attempt had made.
        if clips.device.type == "cuda":
            torch.cuda.empty_cache()
        logger.warning("device %s has too little memory: predicts %d clips at a time", clips.device, size)
    return parts


def _predict_on_cores(model: nn.Module, clips: ClipStore) -> list[torch.Tensor]:
    batches = in_batches(clips, CPU_EVAL_BATCH)
    parts = [torch.empty(0)] * len(batches)

    def compute(index: int) -> None:
        with torch.inference_mode():
            parts[index] = torch.sigmoid(model(clips.batch(batches[index])[0]))

    on_all_cores(compute, range(len(batches)))
    return parts
