"""What CUDA says when it fails becomes one error; everything else stays what it is."""

import subprocess
import sys

import pytest
import torch

from beatsight_core.compute.trouble import device_trouble, is_out_of_memory
from beatsight_core.errors import DeviceError, TrainingError

HELP = "\nCUDA kernel errors might be asynchronously reported at some other API call\nCompile with TORCH_USE_CUDA_DSA"
OUT_OF_MEMORY = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 11.99 GiB, of which 1 GiB is free. "
    "Of the allocated memory 8.00 GiB is allocated by PyTorch. If reserved memory is large try PYTORCH_ALLOC_CONF"
)


def accelerator(text: str) -> Exception:
    return torch.AcceleratorError(text + HELP)


MEMORY = [
    torch.OutOfMemoryError(OUT_OF_MEMORY),
    torch.OutOfMemoryError("Allocation on device"),
    accelerator("CUDA error: out of memory"),
    RuntimeError("CUDA error: out of memory" + HELP),
    RuntimeError("CUDA driver error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"),
]
OTHERS = [
    (
        accelerator("CUDA error: no kernel image is available for execution on the device"),
        "GPU is too old",
        "CUDA 12.6",
    ),
    (RuntimeError("cuDNN version 91900 is not compatible with devices with SM < 7.5."), "GPU is too old", "CUDA 12.6"),
    (accelerator("CUDA error: uncorrectable ECC error encountered"), "memory of the GPU", "restart the machine"),
    (accelerator("CUDA error: device-side assert triggered"), "out of its range", "CUDA_LAUNCH_BLOCKING=1"),
    (accelerator("CUDA error: unspecified launch failure"), "kernel on the GPU crashed", "dmesg"),
    (accelerator("CUDA error: an illegal memory access was encountered"), "kernel on the GPU crashed", "dmesg"),
    (RuntimeError("CUDA driver version is insufficient for CUDA runtime version"), "driver is too old", "driver 580"),
    (
        RuntimeError("The NVIDIA driver on your system is too old (found version 12070)."),
        "driver is too old",
        "CUDA 12",
    ),
    (RuntimeError("Found no NVIDIA driver on your system."), "sees no GPU", "beatsight doctor"),
    (RuntimeError("No CUDA GPUs are available"), "sees no GPU", "beatsight doctor"),
    (accelerator("CUDA error: all CUDA-capable devices are busy or unavailable"), "taken by another", "exclusive"),
    (torch.distributed.DistBackendError("ncclUnhandledCudaError: Last error: out of memory"), "(NCCL)", "processes=1"),
    (RuntimeError("NCCL error in: ProcessGroupNCCL.cpp:94, unhandled system error"), "(NCCL)", "NCCL_DEBUG=INFO"),
    (RuntimeError("cudaHostAlloc(&ptr, size) failed: out of memory"), "pinned", ".wslconfig"),
    (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling cublasSgemm"), "library", "LD_LIBRARY_PATH"),
    (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), "library of CUDA", "LD_LIBRARY_PATH"),
    (RuntimeError("cuDNN version incompatibility: PyTorch was compiled against (9, 1, 0)"), "library", "LD_LIBRARY"),
    (accelerator("CUDA error: invalid argument"), "CUDA failed", "beatsight doctor"),
    (torch.AcceleratorError("something new"), "CUDA failed", "beatsight doctor"),
]
NOT_OF_CUDA = [
    ValueError("CUDA out of memory"),
    MemoryError("CUDA error: out of memory"),
    RuntimeError("Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!"),
    RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes. Cannot allocate memory"),
    RuntimeError("Need to provide pin_memory allocator to use pin memory."),
    RuntimeError(""),
    KeyboardInterrupt(),
    TrainingError("CUDA error: out of memory"),
]


@pytest.mark.parametrize("error", MEMORY, ids=lambda error: str(error)[:60])
def test_too_little_memory_is_known_wherever_it_is_noticed(error):
    trouble = device_trouble(error)
    assert type(trouble) is DeviceError
    assert trouble.what.endswith("has too little free memory")
    assert "smaller batch" in str(trouble.do)
    assert is_out_of_memory(error)


@pytest.mark.parametrize(("error", "what", "do"), OTHERS, ids=[str(error)[:60] for error, _, _ in OTHERS])
def test_other_trouble_says_what_happened_and_what_to_do(error, what, do):
    trouble = device_trouble(error)
    assert trouble is not None
    assert what in trouble.what
    assert do in str(trouble.do)
    assert str(error).splitlines()[0] == trouble.why
    assert not is_out_of_memory(error)


@pytest.mark.parametrize("error", NOT_OF_CUDA, ids=lambda error: f"{type(error).__name__} {str(error)[:40]}")
def test_everything_else_is_no_trouble_of_the_device(error):
    assert device_trouble(error) is None
    assert not is_out_of_memory(error)


def test_the_cause_is_followed_and_an_error_that_explains_it_ends_the_search():
    compiled = RuntimeError("backend='inductor' raised:")
    compiled.__cause__ = ValueError("in between")
    compiled.__cause__.__cause__ = MEMORY[0]
    assert is_out_of_memory(compiled)
    assert "too little free memory" in str(device_trouble(compiled))
    explained = TrainingError("Device cuda has too little memory")
    explained.__cause__ = MEMORY[0]
    assert device_trouble(explained) is None
    circle = ValueError("a")
    circle.__cause__ = circle
    assert device_trouble(circle) is None


def test_the_reason_is_the_line_that_tells_without_advice():
    wrapped = RuntimeError("backend='inductor' raised:\nRuntimeError: CUDA error: invalid argument\nmore")
    assert device_trouble(wrapped).why == "RuntimeError: CUDA error: invalid argument"
    assert device_trouble(MEMORY[0]).why == OUT_OF_MEMORY.partition(" Of the allocated")[0]
    assert len(device_trouble(RuntimeError("CUDA error: " + "word " * 1000)).why) < 310


def test_the_gpu_is_named_where_cuda_still_answers(monkeypatch):
    error = accelerator("CUDA error: no kernel image is available for execution on the device")
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla V100-SXM2-16GB")
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    assert device_trouble(error).what.startswith("Tesla V100-SXM2-16GB (cuda:0) is too old for torch 2.")

    def broken():
        raise error

    monkeypatch.setattr(torch.cuda, "get_device_name", broken)
    assert device_trouble(error).what.startswith("The GPU is too old for torch 2.")


def test_torch_is_not_loaded_for_it():
    code = (
        "import sys\nfrom beatsight_core.compute.trouble import device_trouble as d\n"
        "print(d(ValueError('x')), d(RuntimeError('CUDA error: out of memory')).what, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "None The GPU has too little free memory False"
