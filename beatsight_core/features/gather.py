"""Rows of many arrays by one index operation, as fast as if all of them were one array, and no Python per array."""

import ctypes
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from beatsight_core.features.spec import StoredArray


class RowGather:
    """A reader that copies rows out of several arrays that are numbered as one.

    All arrays lie in the memory of this process, so a row is an address. A view whose rows begin at every multiple of a
    common step, and overlap, covers all those addresses. It also covers what lies between the arrays, which may belong
    to nobody: so it is indexed at rows of the arrays only, and never leaves this class.

    Args:
        arrays: Arrays (n, *shape) of one type; they stay where they are and must stay as they are.
        shape: Shape of a row.
        dtype: Type of all arrays.
    """

    def __init__(self, arrays: Sequence[StoredArray], shape: tuple[int, ...], dtype: np.dtype[np.float16 | np.uint8]):
        self._arrays = [np.ascontiguousarray(array, dtype=dtype) for array in arrays if len(array)]
        self._shape = shape
        row_bytes = math.prod(shape) * dtype.itemsize
        addresses = [array.ctypes.data for array in self._arrays]
        places = [
            np.arange(address, address + array.nbytes, row_bytes, dtype=np.int64)
            for address, array in zip(addresses, self._arrays, strict=True)
        ]
        first = min(addresses, default=0)
        step = math.gcd(row_bytes, *(address - first for address in addresses))
        self._places = (np.concatenate([np.zeros(0, dtype=np.int64), *places]) - first) // step
        last = int(self._places.max(initial=-1))
        covered = memoryview((ctypes.c_byte * (last * step + row_bytes)).from_address(first) if last >= 0 else b"")
        self._rows: StoredArray = np.ndarray(
            (last + 1, math.prod(shape)), dtype, covered, strides=(step, dtype.itemsize)
        )
        self._rows.flags.writeable = False

    def __len__(self) -> int:
        return len(self._places)

    def take(self, rows: npt.NDArray[np.int64]) -> StoredArray:
        """Return copies of rows, (len(rows), *shape), in the order asked for.

        Raises:
            IndexError: There is no such row.
        """
        taken: StoredArray = self._rows[self._places[rows]]
        return taken.reshape(len(rows), *self._shape)
