"""The one import of torchaudio, and the mel transform made from it.

torchaudio's wheels are commonly built for CUDA: beside a torch for the CPU, loading its compiled extension fails
(`OSError`: libc10_cuda.so), and beside a torch for another CUDA it refuses (`RuntimeError`: different CUDA versions).
The mel transform is Python on top of torch and needs none of that extension, and torchaudio carries on when it finds no
such library. So after one of these two errors it is imported once more, and told that there is none.
"""

import sys
import warnings
from types import ModuleType
from typing import TYPE_CHECKING

from beatsight_core.errors import DeviceError, SettingsError
from beatsight_core.features.spec import FeatureSpec

if TYPE_CHECKING:
    import torch
    from torch import nn

_LOADER = "torchaudio._extension.utils"


def make_mel_spectrogram(spec: FeatureSpec) -> "nn.Module":
    """Return the mel power spectrogram of a spec: (..., samples) float -> (..., n_mels, frames).

    Raises:
        SettingsError: The clips are shorter than half a window, or a band is so narrow that it holds no bin of the
            transform and would always be empty.
        DeviceError: torchaudio is missing or broken.
    """
    if spec.clip_samples <= spec.n_fft // 2:
        raise SettingsError(
            f"A window of {spec.n_fft} samples is too long for clips of {spec.clip_samples}",
            do="lower features.n_fft, or raise dataset.pre_ms and dataset.tail_ms",
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="At least one mel filterbank")  # said below, as an error
        transform: nn.Module = transforms().MelSpectrogram(
            sample_rate=spec.sample_rate_hz,
            n_fft=spec.n_fft,
            hop_length=spec.hop_length,
            n_mels=spec.n_mels,
            f_min=spec.f_min_hz,
            f_max=spec.f_max_hz,
            power=2.0,
            mel_scale=spec.mel_scale,
        )
    filters: torch.Tensor = transform.get_buffer("mel_scale.fb")  # (bins, n_mels)
    empty = int((filters.sum(dim=0) == 0).sum())
    if empty:
        raise SettingsError(
            f"{empty} of {spec.n_mels} mel bands from {spec.f_min_hz:g} to {spec.f_max_hz:g} Hz hold no bin of a "
            f"transform of {spec.n_fft} samples at {spec.sample_rate_hz} Hz, so they would always be empty",
            do="lower features.n_mels, or raise features.n_fft",
        )
    return transform


def transforms() -> ModuleType:
    """Return the module `torchaudio.transforms`, without its compiled extension where that does not fit torch.

    Raises:
        DeviceError: torchaudio is not installed, or fails for another reason.
    """
    try:
        try:
            import torchaudio.transforms as module
        except (OSError, RuntimeError):
            _forget_the_extension()
            import torchaudio.transforms as module
    except (ImportError, OSError, RuntimeError) as error:
        raise DeviceError(
            "torchaudio cannot be imported", why=str(error), do="install the training extra: pip install -e '.[train]'"
        ) from error
    loaded: ModuleType = module
    return loaded


def _forget_the_extension() -> None:
    """Let torchaudio's next import find no compiled library, which is a case of its own that it handles."""
    loader = sys.modules.get(_LOADER)
    if loader is None:
        raise ImportError(f"torchaudio failed before {_LOADER} was loaded")
    loader._load_lib = lambda name: False  # type: ignore[attr-defined]
