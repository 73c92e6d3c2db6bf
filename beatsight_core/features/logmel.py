"""The one log-mel: clips to spectrograms in decibels below each clip's own loudest point.

Level does not show: power is divided by the clip's greatest before its logarithm is taken, so the range of decibels,
and what falls under its floor, move with the recording. Digital silence is all floor.
"""

import contextlib
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from beatsight_core.compute.trouble import device_trouble, is_out_of_memory
from beatsight_core.errors import DeviceError
from beatsight_core.features.cores import on_all_cores
from beatsight_core.features.mel_transform import make_mel_spectrogram
from beatsight_core.features.spec import UINT8_STEPS, FeatureSpec, StoredArray

CPU_BATCH = 8
"""Clips at a time on a CPU: their spectra (1.6 MB) stay in the cache; 64 and more take twice as long."""

CUDA_BATCH = 1024
"""Clips at a time on a CUDA device, if they fit into `CUDA_SHARE` of its free memory."""

CUDA_SHARE = 0.5

Samples: TypeAlias = npt.NDArray[np.int16 | np.float32 | np.float64]
"""Clips (n, samples): 16-bit, or floats in -1..1."""

_PCM16 = 1.0 / 32768.0
_SILENCE = 1e-20
"""Mel power that no clip of 16-bit audio falls below unless all of its samples are zero."""


class LogMel(nn.Module):
    """The transform of clips (batch, samples) in -1..1 -> decibels (batch, n_mels, frames) within [floor_db, 0].

    Args:
        spec: Recipe of the spectrograms.

    Raises:
        SettingsError: The recipe cannot be followed (see `make_mel_spectrogram`).
    """

    def __init__(self, spec: FeatureSpec):
        super().__init__()
        self.spec = spec
        self.mel = make_mel_spectrogram(spec)

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        """Return the decibels of clips: 10 log10(power / loudest power of the clip), not below the floor."""
        return relative_decibels(self.mel(clips), self.spec.floor_db)

    def encode(self, decibels: torch.Tensor) -> torch.Tensor:
        """Return decibels as they are stored."""
        if self.spec.storage == "uint8":
            steps = (decibels - self.spec.floor_db) * (UINT8_STEPS / -self.spec.floor_db)
            return steps.round_().to(torch.uint8)
        return decibels.to(torch.float16)


def relative_decibels(power: torch.Tensor, floor_db: float) -> torch.Tensor:
    """Return 10 log10 of power over the loudest power of its spectrogram, not below the floor. `power` is changed.

    Args:
        power: Power (batch, n_mels, frames), not negative.
        floor_db: Least value of the result.
    """
    loudest = power.amax(dim=(-2, -1), keepdim=True).clamp_min_(_SILENCE)
    return power.div_(loudest).clamp_min_(10.0 ** (floor_db / 10.0)).log10_().mul_(10.0)


def to_decibels(stored: torch.Tensor, floor_db: float) -> torch.Tensor:
    """Return float32 decibels from what is stored: 8-bit steps are decoded, other numbers are decibels already."""
    if stored.dtype == torch.uint8:
        return torch.add(torch.tensor(floor_db), stored, alpha=-floor_db / UINT8_STEPS)
    return stored.to(torch.float32)


def features_of(logmel: LogMel, clips: Samples, device: torch.device) -> StoredArray:
    """Return the spectrograms of many clips, in batches that suit the device.

    Args:
        logmel: Transform, on `device` already.
        clips: Clips (n, samples): int16, or floats in -1..1.
        device: Device to compute on.

    Returns:
        (n, n_mels, frames) in the spec's storage.

    Raises:
        DeviceError: The CUDA device has too little free memory, or fails.
    """
    spec = logmel.spec
    shape, dtype = (len(clips), spec.n_mels, spec.frames), getattr(torch, spec.storage)
    if device.type == "cuda":
        with _trouble_on(device):
            spectrograms = torch.empty(shape, dtype=dtype, pin_memory=True)
            _compute_on_cuda(logmel, clips, spectrograms, device)
    else:
        spectrograms = torch.empty(shape, dtype=dtype)
        _compute_on_cpu(logmel, clips, spectrograms)
    result: StoredArray = spectrograms.numpy()
    return result


def _compute_on_cpu(logmel: LogMel, clips: Samples, spectrograms: torch.Tensor) -> None:
    def compute(start: int) -> None:
        part = clips[start : start + CPU_BATCH]
        with torch.inference_mode():
            samples = torch.from_numpy(part.astype(np.float32))
            if part.dtype == np.int16:
                samples.mul_(_PCM16)
            spectrograms[start : start + CPU_BATCH] = logmel.encode(logmel(samples))

    on_all_cores(compute, range(0, len(clips), CPU_BATCH))


def _compute_on_cuda(logmel: LogMel, clips: Samples, spectrograms: torch.Tensor, device: torch.device) -> None:
    """Compute on a CUDA device; samples travel as stored, by pinned memory, so that no copy is waited for."""
    size = cuda_batch(logmel.spec, device)
    dtype = torch.int16 if clips.dtype == np.int16 else torch.float32
    with torch.inference_mode():
        for start in range(0, len(clips), size):
            part = clips[start : start + size]
            staged = torch.empty(part.shape, dtype=dtype, pin_memory=True)
            staged.numpy()[...] = part
            samples = staged.to(device, non_blocking=True).to(torch.float32)
            if dtype is torch.int16:
                samples.mul_(_PCM16)
            spectrograms[start : start + size].copy_(logmel.encode(logmel(samples)), non_blocking=True)
        torch.cuda.synchronize(device)


@contextlib.contextmanager
def _trouble_on(device: torch.device) -> Iterator[None]:
    """Turn what CUDA raises in the block into an error that says what to do."""
    try:
        yield
    except RuntimeError as error:
        trouble = device_trouble(error)
        if trouble is None:
            raise
        if is_out_of_memory(error):
            do = "wait until what else runs there is done, or use --device cpu"
            trouble = DeviceError(f"{device} has too little free memory for features", why=trouble.why, do=do)
        raise trouble from error


def cuda_batch(spec: FeatureSpec, device: torch.device) -> int:
    """Return the number of clips that fit: each needs its windowed frames, their spectrum, its power, and copies."""
    clip_bytes = 6 * spec.frames * spec.n_fft * 4
    free = int(torch.cuda.mem_get_info(device)[0])
    return max(1, min(CUDA_BATCH, int(CUDA_SHARE * free) // clip_bytes))
