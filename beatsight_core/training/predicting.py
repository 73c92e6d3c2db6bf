"""A net's answers for clips, batch by batch, at the speed of the net alone."""

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from beatsight_core.features.cores import on_all_cores
from beatsight_core.training.batches import Clips, in_batches
from beatsight_core.training.feeding import Feed

CPU_EVAL_BATCH, CUDA_EVAL_BATCH = 64, 4096


@torch.inference_mode()
def predict_clips(model: nn.Module, clips: Clips) -> npt.NDArray[np.float32]:
    """Probabilities (N, classes) of all clips, in order, in full precision."""
    model.eval()
    if clips.device.type == "cpu":
        parts = _predict_on_cores(model, clips)
    else:
        with Feed(clips, in_batches(clips, CUDA_EVAL_BATCH)) as batches:
            parts = [torch.sigmoid(model(decibels)) for decibels, _ in batches]
    result: npt.NDArray[np.float32] = torch.cat(parts).float().cpu().numpy()
    return result


def _predict_on_cores(model: nn.Module, clips: Clips) -> list[torch.Tensor]:
    batches = in_batches(clips, CPU_EVAL_BATCH)
    parts = [torch.empty(0)] * len(batches)

    def compute(index: int) -> None:
        with torch.inference_mode():
            parts[index] = torch.sigmoid(model(clips.batch(batches[index])[0]))

    on_all_cores(compute, range(len(batches)))
    return parts
