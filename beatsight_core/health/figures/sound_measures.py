"""What is measured of a clip's samples: clipping, offset, where the stroke begins, and a print to know it again by.

Conventions: clips are (n, frames) int16 of one length, mono; full scale is 1; times are in milliseconds against the
clip's onset. Figures that a clip does not allow are NaN.
"""

import itertools

import numpy as np
from numpy.typing import NDArray

from beatsight_core.audio.decoding.resample import FULL_SCALE

CLIPPED_LEVEL = 0.999
CLIPPED_RUN = 3
"""So many samples in a row, at that level or above, are clipped: a sound wave hardly stays there by itself."""

SEARCH_MS = 60.0
"""A stroke is looked for this far on both sides of its onset."""

ATTACK_SHARE = 0.2
"""A stroke begins where its envelope passes this share of its peak."""

QUIET_MS = 8.0
"""Before a stroke the envelope was below that share for so long: half a period of 63 Hz, so that no zero crossing of a
low drum passes for its beginning."""

FAINT = 10 ** (-60 / 20)
"""A peak below this is no stroke that could be measured."""

_BLOCK_S = 0.0005
_OFFSET_STEP = 4

TIMES, BANDS = 8, 16
PRINT_FLOOR_DB = 48.0
PRINT_STEP_DB = 0.25
_LOWEST_HZ, _HIGHEST_HZ = 60.0, 12000.0

Clips = NDArray[np.int16]


def clipped(clips: Clips) -> NDArray[np.bool_]:
    """Return whether a clip has a run of samples at full scale."""
    limit = int(CLIPPED_LEVEL * FULL_SCALE)
    full = (clips >= limit) | (clips <= -limit)
    run = full[:, : full.shape[1] - CLIPPED_RUN + 1].copy()
    for shift in range(1, CLIPPED_RUN):
        run &= full[:, shift : shift + run.shape[1]]
    return np.asarray(run.any(axis=1))


def offset(clips: Clips) -> NDArray[np.float64]:
    """Return the DC offset, of full scale, signed: the median sample, which the swing of a low drum hardly moves."""
    return np.asarray(np.median(clips[:, ::_OFFSET_STEP], axis=1) / FULL_SCALE)


def attack_ms(clips: Clips, onset: int, rate_hz: int) -> NDArray[np.float64]:
    """Return where each stroke begins against the onset, above 0 where it sounds late; NaN where none is heard.

    The envelope's peak near the onset is found, then, back from it, the last time that the envelope had been below
    `ATTACK_SHARE` of the peak for `QUIET_MS`. Resolution: half a millisecond.

    Args:
        clips: Clips of one onset, (n, frames).
        onset: Sample of the onset; below 0 where nobody knows.
        rate_hz: Rate of the clips.
    """
    block = max(1, round(_BLOCK_S * rate_hz))
    envelope = _envelope(clips, block)
    near = round(SEARCH_MS / 1000 * rate_hz / block)
    first, last = max(0, onset // block - near), min(envelope.shape[1], onset // block + near)
    quiet_blocks = max(1, round(QUIET_MS / 1000 * rate_hz / block))
    if onset < 0 or last - first <= quiet_blocks:
        return np.full(len(clips), np.nan)
    window = envelope[:, first:last]
    peak = window.max(axis=1)
    runs = np.lib.stride_tricks.sliding_window_view(window, quiet_blocks, axis=1)
    # Column i: the last `quiet_blocks` blocks up to block i + quiet_blocks - 1 were all below the share.
    quiet = runs.max(axis=2) < ATTACK_SHARE * peak[:, None]
    ends = np.arange(quiet_blocks - 1, window.shape[1])
    before = np.where(quiet & (ends <= window.argmax(axis=1)[:, None]), ends, -1).max(axis=1)
    begins = (first + before + 1) * block - onset
    heard = (before >= 0) & (peak >= FAINT)
    return np.where(heard, 1000 * begins / rate_hz, np.nan)


def prints(clips: Clips, rate_hz: int) -> NDArray[np.uint8]:
    """Return levels of bands over time below the clip's loudest, in steps of `PRINT_STEP_DB`, (n, TIMES * BANDS).

    Gain does not show in them, nor does a shift of a few milliseconds much; what lies more than `PRINT_FLOOR_DB` below
    the loudest is 0. Silence has a print of zeros.
    """
    part = clips.shape[1] // TIMES
    if part == 0:
        return np.zeros((len(clips), TIMES * BANDS), np.uint8)
    size = 1 << max(part - 1, 1).bit_length()
    cut = clips[:, : part * TIMES].reshape(len(clips), TIMES, part).astype(np.float32)
    cut -= np.median(cut, axis=(1, 2), keepdims=True)
    power = np.abs(np.fft.rfft(cut * np.hanning(part).astype(np.float32), size)) ** 2
    edges = np.geomspace(_LOWEST_HZ, min(_HIGHEST_HZ, rate_hz / 2), BANDS + 1)
    bins = np.maximum.accumulate(np.rint(edges * size / rate_hz).astype(int))
    bands = np.stack([power[..., a : max(b, a + 1)].mean(axis=-1) for a, b in itertools.pairwise(bins)], -1)
    loudest = bands.max(axis=(1, 2), keepdims=True)
    below = 10 * np.log10(np.maximum(bands, 1e-9) / np.maximum(loudest, 1e-9))
    sounds = loudest >= 1.0  # the power of less than one step of 16 bit
    levels = np.where(sounds, np.clip(below + PRINT_FLOOR_DB, 0, PRINT_FLOOR_DB) / PRINT_STEP_DB, 0.0)
    return np.asarray(np.rint(levels).astype(np.uint8).reshape(len(clips), TIMES * BANDS))


def _envelope(clips: Clips, block: int) -> NDArray[np.float32]:
    """Return the largest magnitude in each block, of full scale, the offset taken away, (n, frames // block)."""
    blocks = clips.shape[1] // block
    centred = clips[:, : blocks * block] - np.median(clips[:, ::_OFFSET_STEP], axis=1)[:, None].astype(np.float32)
    envelope = np.abs(centred).reshape(len(clips), blocks, block).max(axis=2) / FULL_SCALE
    return np.asarray(envelope, np.float32)
