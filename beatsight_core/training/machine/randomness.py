"""Random state of every kind: Python's, NumPy's, torch's on the CPU and on each visible CUDA device."""

import contextlib
import random
from collections.abc import Iterator
from typing import Any, TypedDict

import numpy as np
import torch


class RandomState(TypedDict):
    """The state of every generator, in values that `torch.load(weights_only=True)` reads.

    Attributes:
        python: State of Python's generator.
        numpy: State of NumPy's generator.
        cpu: State of torch's generator on the CPU.
        cuda: State of torch's generator on each visible CUDA device.
    """

    python: list[Any]
    numpy: list[Any]
    cpu: torch.Tensor
    cuda: list[torch.Tensor]


def seed_all(seed: int) -> None:
    """Seed every generator of this process."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def random_state() -> RandomState:
    """Return the state of every generator."""
    version, words, gauss = random.getstate()
    kind, numbers, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": [version, torch.tensor(words, dtype=torch.int64), gauss],
        "numpy": [kind, torch.from_numpy(np.asarray(numbers).astype(np.int64)), position, has_gauss, cached],
        "cpu": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],  # type: ignore[no-untyped-call]
    }


def restore_random_state(state: RandomState) -> None:
    """Set every generator to what `random_state` gave; of CUDA devices those that there were and are."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words.tolist()), gauss))
    kind, numbers, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, numbers.cpu().numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["cpu"].cpu())
    present = torch.cuda.device_count() if torch.cuda.is_initialized() else 0  # type: ignore[no-untyped-call]
    for device, cuda in enumerate(state["cuda"][:present]):
        torch.cuda.set_rng_state(cuda.cpu(), device)


@contextlib.contextmanager
def own_random_state() -> Iterator[None]:
    """Leave all random state outside the block as it was before."""
    before = random_state()
    try:
        yield
    finally:
        restore_random_state(before)
