"""Where in a clip something begins to sound: the onset strength around its label, two milliseconds fine.

Energy is taken in blocks of `BLOCK_MS`, of the samples and of their differences, so that neither a bass drum nor a
hi-hat is drowned. The strength of a block is by how many decibels it is louder than each of the four before it. Over
the clips of one recording the mean of this, at every distance from the labels, has its peak where the sound begins.
Strokes of neighbours stand at other distances in every clip and sink into the mean.
"""

import numpy as np
from numpy.typing import NDArray

BLOCK_MS = 2.0
BEFORE_MS, AFTER_MS = 70.0, 170.0
"""How far from its label a beginning is looked for, as far as the clip reaches."""

BINS = round((BEFORE_MS + AFTER_MS) / BLOCK_MS)

DELAY_MS = 1.7
"""By so much the peak comes after the true beginning: measured on recordings whose onsets are exact."""

MOST_DB = 60.0
_FLOOR = 1e-5
_PREVIOUS = 4

Clips = NDArray[np.int16]


def strengths(clips: Clips, onset: int, rate_hz: int) -> NDArray[np.uint8]:
    """Return the onset strength in decibels, (n, BINS), `BEFORE_MS` before to `AFTER_MS` after the onset.

    It is 0 beyond the clip.

    Args:
        clips: Clips of one length, rate and onset, (n, frames).
        onset: Sample of the onset; below 0 where nobody knows, which gives zeros.
        rate_hz: Rate of the clips.
    """
    block = max(1, round(BLOCK_MS / 1000 * rate_hz))
    found = np.zeros((len(clips), BINS), np.uint8)
    if onset < 0 or clips.shape[1] < (_PREVIOUS + 1) * block:
        return found
    skipped = onset % block  # so that a block begins at the onset
    rises = _rises(clips[:, skipped:], block)
    first = onset // block - round(BEFORE_MS / BLOCK_MS)
    taken = rises[:, max(first, 0) : max(first + BINS, 0)]
    place = max(-first, 0)
    found[:, place : place + taken.shape[1]] = np.rint(np.minimum(taken, MOST_DB)).astype(np.uint8)
    return found


def _rises(clips: Clips, block: int) -> NDArray[np.float32]:
    """Return by how much each block is louder than those just before it, over both kinds of energy, (n, blocks)."""
    samples = clips[:, : clips.shape[1] // block * block].astype(np.float32)
    differences = np.zeros_like(samples)
    np.subtract(samples[:, 1:], samples[:, :-1], out=differences[:, 1:])
    total = np.zeros((len(clips), samples.shape[1] // block), np.float32)
    for values in (samples, differences):
        energy = np.einsum("nbs,nbs->nb", *[values.reshape(len(clips), -1, block)] * 2) / np.float32(block)
        level = 10 * np.log10(energy + _FLOOR * energy.max(axis=1, keepdims=True) + 1e-3)
        before = np.maximum.reduce([level[:, back : back - _PREVIOUS] for back in range(_PREVIOUS)])
        total[:, _PREVIOUS:] += np.maximum(level[:, _PREVIOUS:] - before, 0)
    return total
