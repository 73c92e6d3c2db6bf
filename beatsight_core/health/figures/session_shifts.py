"""By how much the sound of each recording comes after its labels, and how sure that is.

The mean onset strength of a recording's clips (`onset_strength.py`) has its peak where strokes begin. How sure the peak
is follows from drawing the clips again, many times, as chance might have given them: `sure` is the share of draws whose
peak lies within `NEAR_MS` of it. Where the distance grows over a recording, the peak is smeared; then it is looked for
along a line, and a report says the growth.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beatsight_core.health.figures.onset_strength import BEFORE_MS, BINS, BLOCK_MS, DELAY_MS

FEWEST = 8
"""With fewer clips nothing is said of a recording."""

FEWEST_TO_MISS = 32
"""With fewer clips it is not said that a recording's strokes begin nowhere near their labels."""

SURE = 0.9
"""Of the draws: in 9,000 trials with known shifts that can be measured no peak that was so sure was a wrong one; of 474
recorded sessions whose labels were too far off for that, 3 had one."""

PRESENT = 3.5
"""Standard deviations by which the strength at the labels stands out where strokes begin there: of 32 clips at least
6.5 in recordings that are right, at most 2.7 in 99 of 100 whose labels are 120 ms late or more."""

STRONGEST = 0.2
"""Share of the clips that is left out to see whether the others have the same peak: a few other strokes that stand at
one distance from labels by chance make one, too. Of 234 right peaks of two recorded kits this costs 2."""

LEAST_SPREAD_DB = 0.1
"""In clips of pure tones and silence nothing begins elsewhere; by this a peak is measured there."""

EDGE = 2
NEAR_MS = 5.0
DRAWS = 200
LONGEST_DRIFT_MS = 240.0
FEWEST_TO_DRIFT = 16
DRIFT_GAIN, DRIFT_PRESENT = 1.3, 8.0
"""A line is believed if it gathers this many times as much strength as no drift at all, and stands out by so many
standard deviations."""

CLEAR_DB = 20.0
"""Recordings in whose clips nothing begins more clearly are too soft or too noisy to say that strokes are not there."""

NOTHING_DB = 2.0
"""Below this nothing begins at all in a recording's clips, not even softly: two recorded kits have 6 or more."""

OK, LATE, EARLY, DRIFTS, LOST, UNSURE, FEW = "ok", "late", "early", "drifts", "not found", "not sure", "too few"
"""What is found of a recording; `late` means that the sound comes after the labels."""

OUTLIERS = (LATE, EARLY, DRIFTS, LOST)

Strengths = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Shift:
    """What was measured of one recording, rounded as it is shown.

    Attributes:
        clips: Number of clips that were measured.
        shift_ms: Sound minus label, in the middle of the recording; None where it is not sure.
        drift_ms: Growth of that from the first measured clip to the last; 0 where it does not grow.
        seconds: Time from the first measured clip to the last.
        sure: Share of draws that have the same peak, 0..1.
        present: Standard deviations by which the strength at the labels stands out.
        clear: Decibels by which something begins in its clips.
    """

    clips: int
    shift_ms: float | None
    drift_ms: float
    seconds: float
    sure: float
    present: float
    clear: float = 0.0

    def found(self, limit_ms: float) -> str:
        """Return what it means, one of the words above.

        Args:
            limit_ms: Distance that sound and label may have.
        """
        if self.clips < FEWEST:
            return FEW
        if self.shift_ms is None:
            absent = self.present < PRESENT and not NOTHING_DB <= self.clear < CLEAR_DB
            return LOST if self.clips >= FEWEST_TO_MISS and absent else UNSURE
        if abs(self.drift_ms) / 2 > limit_ms:
            return DRIFTS
        if abs(self.shift_ms) > limit_ms:
            return LATE if self.shift_ms > 0 else EARLY
        return OK


def measure_shift(strengths: NDArray[np.uint8], times_s: NDArray[np.float64], seed: int) -> Shift:
    """Measure one recording.

    Args:
        strengths: Onset strengths of its clips, (n, BINS), from `onset_strength.strengths`.
        times_s: Onsets in the recording, (n,).
        seed: Seed of the draws.
    """
    clips = len(strengths)
    if clips < FEWEST:
        return Shift(clips, None, 0.0, 0.0, 0.0, 0.0)
    order = np.argsort(times_s, kind="stable")
    smooth, times_s = _smoothed(strengths[order]), times_s[order]
    span_s = float(times_s[-1] - times_s[0])
    peak, sure = _peak(smooth, seed)
    drift_ms = 0.0
    if clips >= FEWEST_TO_DRIFT and span_s > 0 and (sure < SURE or _halves_differ(smooth, peak)):
        line = _drift(smooth, times_s, seed)
        if line is not None:
            drift_ms, peak, sure = line.drift_ms, line.peak, line.sure
    return Shift(
        clips=clips,
        shift_ms=round(_milliseconds(peak), 1) if sure >= SURE else None,
        drift_ms=round(drift_ms, 3),
        seconds=round(span_s, 3),
        sure=round(sure, 3),
        present=round(_presence(smooth), 3),
        clear=round(_clearness(smooth), 3),
    )


def _smoothed(strengths: NDArray[np.uint8]) -> Strengths:
    """Return strengths over three blocks: an onset between two of them counts for both."""
    wide = np.zeros((len(strengths), BINS + 2), np.float32)
    wide[:, 1:-1] = strengths
    return np.asarray(wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:], np.float32)


def _peak(smooth: Strengths, seed: int) -> tuple[int, float]:
    """Return the block of the greatest mean, and the share of draws whose greatest lies near it.

    0 where the greatest lies at an edge, so that it is no peak: there may be more beyond; and where few clips make it.
    """
    drawn = np.random.default_rng(seed).poisson(1.0, (DRAWS, len(smooth))).astype(np.float32)
    peak = int(smooth.sum(axis=0).argmax())
    if not EDGE <= peak < BINS - EDGE or not _is_of_many(smooth, peak):
        return peak, 0.0
    others = np.einsum("dc,cb->db", drawn, smooth).argmax(axis=1)
    return peak, float((np.abs(others - peak) <= NEAR_MS / BLOCK_MS).mean())


def _is_of_many(smooth: Strengths, peak: int) -> bool:
    """Return whether a peak stays where it is without the clips that begin most strongly there."""
    there = smooth[:, peak - EDGE : peak + EDGE + 1].max(axis=1)
    others = smooth[np.argsort(there, kind="stable")[: math.ceil((1 - STRONGEST) * len(there))]]
    return abs(int(others.sum(axis=0).argmax()) - peak) * BLOCK_MS <= NEAR_MS


def _presence(smooth: Strengths) -> float:
    """Return by how many standard deviations the strength at the labels exceeds that elsewhere."""
    label, near = round((BEFORE_MS + DELAY_MS) / BLOCK_MS), round(10 / BLOCK_MS)
    mean = smooth.mean(axis=0)
    return _prominence(mean, label - near + int(mean[label - near : label + near + 1].argmax()))


def _prominence(mean: NDArray[np.float32], peak: int) -> float:
    """Return by how many standard deviations a block of the mean exceeds those that are not near it."""
    wide = round(16 / BLOCK_MS)
    rest = np.concatenate([mean[: max(peak - wide, 0)], mean[peak + wide :]])
    return float(mean[peak] - rest.mean()) / max(float(rest.std()), LEAST_SPREAD_DB)


def _clearness(smooth: Strengths) -> float:
    """Return the strongest beginning within a clip, in decibels; the middle over all clips."""
    return float(np.median(smooth.max(axis=1)))


def _halves_differ(smooth: Strengths, peak: int) -> bool:
    """Return whether the two halves of a recording have their peaks apart."""
    middle = len(smooth) // 2
    places = [int(half.sum(axis=0).argmax()) for half in (smooth[:middle], smooth[middle:])]
    return abs(places[1] - places[0]) * BLOCK_MS >= NEAR_MS and max(abs(place - peak) for place in places) > 0


@dataclass(frozen=True, slots=True)
class _DriftLine:
    """The line along which the strokes of a recording stand best: its growth in ms, its block, how sure it is."""

    drift_ms: float
    peak: int
    sure: float


def _drift(smooth: Strengths, times_s: NDArray[np.float64], seed: int) -> _DriftLine | None:
    """Return the line along which the strokes of a recording stand best.

    None if no line is much better than no growth, or none stands out: among so many lines chance makes some peak.
    """
    share = (times_s - times_s[0]) / (times_s[-1] - times_s[0]) - 0.5
    steps = np.arange(-LONGEST_DRIFT_MS, LONGEST_DRIFT_MS + 1, 2 * BLOCK_MS)
    means = [_moved(smooth, share * step).mean(axis=0) for step in steps]
    heights = np.array([float(mean.max()) for mean in means])
    best = int(heights.argmax())
    if heights[best] < DRIFT_GAIN * float(smooth.mean(axis=0).max()):
        return None
    peak, sure = _peak(_moved(smooth, share * steps[best]), seed)
    if sure < SURE or _prominence(means[best], peak) < DRIFT_PRESENT:
        return None
    return _DriftLine(float(steps[best]), peak, sure)


def _moved(smooth: Strengths, shift_ms: NDArray[np.float64]) -> Strengths:
    """Return each row moved to the left by its own shift; what comes in from beyond the edges is 0."""
    places = np.arange(BINS)[None, :] + np.rint(shift_ms / BLOCK_MS).astype(np.int64)[:, None]
    inside = (places >= 0) & (places < BINS)
    return np.where(inside, np.take_along_axis(smooth, np.clip(places, 0, BINS - 1), axis=1), np.float32(0))


def _milliseconds(peak: int) -> float:
    return (peak + 0.5) * BLOCK_MS - BEFORE_MS - DELAY_MS
