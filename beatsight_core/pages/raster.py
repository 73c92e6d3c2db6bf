"""An array as a bare PNG, one pixel a value: no axes, no plotting library, so that a base install can draw it."""

import struct
import zlib

import numpy as np
import numpy.typing as npt

COLOURS = 256
_STOPS = (
    (0, 0, 4), (28, 16, 68), (79, 18, 123), (129, 37, 129), (181, 54, 122), (229, 80, 100), (251, 135, 97),
    (254, 194, 135), (252, 253, 191),
)  # fmt: skip
"""From black over violet and red to pale yellow: the eye sees it grow evenly, and so does one that lacks a colour."""


def raster(values: npt.ArrayLike) -> bytes:
    """Return an array as a PNG, its first row below; its own range is spread over the colours.

    Args:
        values: Array (rows, columns) of any real type. What is not finite counts as the least (NaN as 0).

    Raises:
        ValueError: The array does not have two dimensions, or is empty.
    """
    numbers = np.asarray(values, dtype=np.float32)
    if numbers.ndim != 2 or numbers.size == 0:
        raise ValueError(f"a picture has the shape (rows, columns), not {numbers.shape}")
    least = float(numbers[np.isfinite(numbers)].min(initial=0.0))
    numbers = np.nan_to_num(numbers, nan=0.0, posinf=0.0, neginf=least)
    low, high = float(numbers.min()), float(numbers.max())
    steps = np.rint((numbers - low) * ((COLOURS - 1) / (high - low or 1.0))).astype(np.uint8)
    height, width = steps.shape
    filtered = np.zeros((height, 1 + width), np.uint8)  # each line begins with its filter: 0, none
    filtered[:, 1:] = steps[::-1]
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = ((b"IHDR", header), (b"PLTE", _palette()), (b"IDAT", zlib.compress(filtered.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def _palette() -> bytes:
    stops = np.linspace(0, COLOURS - 1, len(_STOPS))
    channels = [np.interp(np.arange(COLOURS), stops, channel) for channel in zip(*_STOPS, strict=True)]
    palette: bytes = np.rint(np.stack(channels, axis=1)).astype(np.uint8).tobytes()
    return palette


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
