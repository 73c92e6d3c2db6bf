"""Errors of CUDA, told as one error: what happened, the line that says why, and what to do.

Torch raises a class of its own for too little memory in its allocator and for errors of the accelerator, and a plain
RuntimeError for the rest: cuBLAS, cuDNN, NCCL, pinned memory, a driver that is too old. A class decides where there is
one, else the text; and only RuntimeErrors are looked at, so that no error of the program is taken for one of the GPU.
"""

import contextlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

from beatsight_core.compute.cuda_support import MIN_DRIVERS, ON_PURPOSE
from beatsight_core.errors import BeatSightError, DeviceError

_WHY_LENGTH = 300
_GO_ON = "run the same command again; it goes on from what is finished"
_TRACE = "if it comes again, run it with CUDA_LAUNCH_BLOCKING=1 and --debug and report what it shows"


@dataclass(frozen=True, slots=True)
class _Sign:
    """A kind of trouble.

    Attributes:
        pattern: Pattern of the text that tells of it.
        what: Words that say what happened.
        do: Words that say what to do about it.
        classes: Classes of torch that tell of it, by their names in the module `torch` or `torch.distributed`.
        out_of_memory: True if smaller batches may help.
    """

    pattern: re.Pattern[str]
    what: str
    do: str
    classes: tuple[str, ...] = ()
    out_of_memory: bool = False


def _sign(pattern: str, what: str, do: str, *classes: str, out_of_memory: bool = False) -> _Sign:
    return _Sign(re.compile(pattern, re.IGNORECASE), what, do, classes, out_of_memory)


_GENERAL = _sign(
    r"CUDA error:|CUDA driver error:|cudaError[A-Z]",
    "CUDA failed on {gpu}",
    f"see what `beatsight doctor` and nvidia-smi say; {_GO_ON}; {_TRACE}",
    "AcceleratorError",
)

_SIGNS = (
    _sign(
        r"no kernel image is available|not compatible with the current PyTorch|not compatible with devices with SM",
        "{gpu} is too old for {torch}",
        "install the torch that is built for CUDA 12.6, which also knows GPUs from Maxwell to Volta "
        f"(docs/gpu.md says how), or {ON_PURPOSE}",
    ),
    _sign(
        r"driver version is insufficient|driver on your system is too old",
        "The NVIDIA driver is too old for {torch}",
        f"update to driver {MIN_DRIVERS[13]} or newer, or install the torch that is built for CUDA 12 "
        f"(docs/gpu.md says how), or {ON_PURPOSE}",
    ),
    _sign(
        r"Found no NVIDIA driver|No CUDA GPUs are available|no CUDA-capable device is detected",
        "{torch} sees no GPU",
        f"see what `beatsight doctor` and nvidia-smi say, or {ON_PURPOSE}",
    ),
    _sign(
        r"uncorrectable (?:ECC|NVLink)|ECC error",
        "The memory of the GPU has an error that could not be corrected",
        f"restart the machine or reset the GPU (`nvidia-smi -q -d ECC` counts such errors), then {_GO_ON}",
    ),
    _sign(
        r"device-side assert",
        "A kernel on the GPU stopped because a value was out of its range",
        f"{_GO_ON}; {_TRACE}",
    ),
    _sign(
        r"unspecified launch failure|illegal memory access|illegal instruction|misaligned address|launch timed out",
        "A kernel on the GPU crashed",
        f"look for Xid in the output of dmesg, which names faults of the GPU; {_GO_ON}; {_TRACE}",
    ),
    _sign(
        r"devices are busy or unavailable|cudaErrorDevicesUnavailable",
        "The GPU is taken by another program",
        "see `nvidia-smi` for who uses it and whether it is in exclusive mode, and wait or end that program",
    ),
    _sign(
        r"NCCL error|nccl[A-Z]\w*Error\b|ncclComm",
        "The GPUs of this run could not exchange data (NCCL)",
        f"{_GO_ON}, with NCCL_DEBUG=INFO to see more, or use one GPU: --set processes=1",
        "DistBackendError",
    ),
    _sign(
        r"cudaHostAlloc|cudaHostRegister|cudaMallocHost",
        "There is too little memory of the machine that can be pinned for copies to the GPU",
        "close other programs, or give the machine more memory (under WSL by .wslconfig, see docs/gpu.md)",
    ),
    _sign(
        r"CUDA (?:driver )?(?:error: )?out of memory|cudaErrorMemoryAllocation"
        r"|CU(?:BLAS|DNN|FFT)_(?:STATUS_)?ALLOC_FAILED|DEVICE_ALLOCATION_FAILED|CUBLAS_STATUS_NOT_INITIALIZED.*cublasCreate",
        "{gpu} has too little free memory",
        f"see `beatsight devices` for what else runs there and wait for it, or use a smaller batch, or {ON_PURPOSE}",
        "OutOfMemoryError",
        out_of_memory=True,
    ),
    _sign(
        r"CUBLAS_STATUS_|CUDNN_STATUS_|CUDNN_FE|CUFFT_|cuDNN error|cuDNN version|cuBLAS error|cuFFT error",
        "A library of CUDA failed on {gpu}",
        f"see what `beatsight doctor` says, unset LD_LIBRARY_PATH if it names another CUDA, then {_GO_ON}",
    ),
    _GENERAL,
)
"""The first that fits decides: special ones stand before general ones."""


def device_trouble(error: BaseException) -> DeviceError | None:
    """Return the error to show for one that CUDA, its libraries or its driver caused; None for every other.

    Args:
        error: Exception that was raised; its causes are looked at, too.
    """
    for link in _causes(error):
        found = _recognised(link)
        if found is not None:
            what = found.what.format(gpu=_gpu_name(), torch=_torch_name())
            return DeviceError(what[:1].upper() + what[1:], why=_telling_line(str(link), found), do=found.do)
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that the GPU has too little free memory, so that a smaller batch may fit.

    Pinned memory of the machine and NCCL do not count: a smaller batch does not help them.

    Args:
        error: Exception that was raised; its causes are looked at, too.
    """
    found = next((found for link in _causes(error) if (found := _recognised(link))), None)
    return found is not None and found.out_of_memory


def _causes(error: BaseException) -> Iterator[RuntimeError]:
    """Give the RuntimeErrors among an error and its causes; none where an error of this project explains it already."""
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen and not isinstance(link, BeatSightError):
        seen.add(id(link))
        if isinstance(link, RuntimeError):
            yield link
        link = link.__cause__


def _recognised(error: RuntimeError) -> _Sign | None:
    """Return the sign that an error shows: a special class decides, then the text, then the accelerator's own class."""
    text = str(error)
    by_class = next((sign for sign in _SIGNS if isinstance(error, _classes(sign))), None)
    if by_class is not None and by_class is not _GENERAL:
        return by_class
    return next((sign for sign in _SIGNS if sign.pattern.search(text)), by_class)


def _classes(sign: _Sign) -> tuple[type, ...]:
    """Return the classes of torch that tell of this trouble; none where torch is not loaded."""
    places = [module for name in ("torch", "torch.distributed") if (module := sys.modules.get(name))]
    found = [getattr(place, name, None) for place in places for name in sign.classes]
    return tuple(kind for kind in found if isinstance(kind, type))


def _telling_line(text: str, sign: _Sign) -> str:
    """Return the first line that shows the sign, or that says anything, without torch's advice about its allocator."""
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [sign.what]
    line = next((line for line in lines if sign.pattern.search(line)), lines[0])
    line = line.partition(" Of the allocated memory")[0]
    return line if len(line) <= _WHY_LENGTH else f"{line[:_WHY_LENGTH].rsplit(' ', 1)[0]} …"


def _gpu_name() -> str:
    """Return the name of the current GPU; after a failure CUDA may not tell it."""
    torch: ModuleType | None = sys.modules.get("torch")
    with contextlib.suppress(Exception):
        if torch is not None and torch.cuda.is_initialized():
            return f"{torch.cuda.get_device_name()} (cuda:{torch.cuda.current_device()})"
    return "the GPU"


def _torch_name() -> str:
    torch: ModuleType | None = sys.modules.get("torch")
    return "this torch" if torch is None else f"torch {torch.__version__} (CUDA {torch.version.cuda})"
