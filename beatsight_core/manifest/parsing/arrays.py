"""Arrow arrays from NumPy arrays: codes over shared values, numbers that may be missing, runs of text."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]


def offsets_of(counts: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return where each of several runs begins, and where the last one ends."""
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def text_array(texts: Sequence[str]) -> pa.StringArray:
    """Return strings as an Arrow array; quicker than Arrow is where all of them are ASCII."""
    joined = "".join(texts)
    if not joined.isascii():
        return pa.array(texts, pa.string())
    offsets = offsets_of(np.fromiter(map(len, texts), np.int32, len(texts))).astype(np.int32)
    return pa.Array.from_buffers(pa.string(), len(texts), [None, pa.py_buffer(offsets), pa.py_buffer(joined.encode())])


def nullable_floats(values: Floats) -> pa.Array:
    """Return numbers in single precision, NaN as null."""
    return pa.array(values.astype(np.float32), mask=np.isnan(values))


def dictionary_array(codes: Codes, values: Sequence[str]) -> pa.DictionaryArray:
    """Return codes over values as an Arrow dictionary; -1 is null."""
    missing = codes < 0
    indices = pa.array(codes, pa.int32(), mask=missing if missing.any() else None)
    return pa.DictionaryArray.from_arrays(indices, pa.array(values, pa.string()))


def compact_dictionary(codes: npt.NDArray[Any], values: Sequence[str]) -> pa.DictionaryArray:
    """Return the same without values that no code names."""
    used = np.bincount(codes + 1, minlength=len(values) + 1)[1:] > 0
    dense = np.append(np.cumsum(used, dtype=np.int32) - 1, np.int32(-1))  # the last serves code -1
    return dictionary_array(dense[codes], [values[code] for code in np.flatnonzero(used).tolist()])
