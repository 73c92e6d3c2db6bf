"""Finding repeats among millions of keys in little memory: 16 bytes a key, in sorted runs that are merged as they grow.

A key is 128 bits: two hashes with unrelated seeds, of which the second settles whether an equal first one is a repeat.
Two different ids of a manifest of ten million get the same key with a probability of about 10^-25.
"""

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

Keys = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]

_SEEDS = (0x9E3779B97F4A7C15, 0x2545F4914F6CDD1D)


_HINT_BITS = 25


class SeenKeys:
    """Keys that were seen.

    A table of 2^25 bytes says at once of most new keys that they were not, so that few have to be looked for.
    """

    def __init__(self) -> None:
        self._runs: list[tuple[Keys, Keys]] = []
        self._hints = np.zeros(1 << _HINT_BITS, bool)

    def add(self, high: Keys, low: Keys) -> Mask:
        """Take keys, and return which were there before, in an earlier call or earlier in this one."""
        order = np.argsort(high, kind="stable")
        if (np.diff(high[order]) == 0).any():
            order = np.lexsort((low, high))  # stable too: of equal keys the first stays the first
        high, low = high[order], low[order]
        repeated = np.zeros(len(order), bool)
        repeated[1:] = (high[1:] == high[:-1]) & (low[1:] == low[:-1])
        hints = high >> np.uint64(64 - _HINT_BITS)
        likely = np.flatnonzero(self._hints[hints])
        for run in self._runs if len(likely) else ():
            repeated[likely] |= _found(run, high[likely], low[likely])
        self._hints[hints] = True
        self._append((high[~repeated], low[~repeated]))
        result = np.empty(len(order), bool)
        result[order] = repeated
        return result

    def _append(self, run: tuple[Keys, Keys]) -> None:
        self._runs.append(run)
        while len(self._runs) > 1 and len(self._runs[-2][0]) <= 2 * len(self._runs[-1][0]):
            newer, older = self._runs.pop(), self._runs.pop()
            high = np.concatenate([older[0], newer[0]])
            order = np.argsort(high, kind="stable")  # two sorted halves: a single merge
            high = high[order]
            self._runs.append((high, np.concatenate([older[1], newer[1]])[order]))


class Strokes:
    """Strokes by the place they belong to; a stroke may come several times, in one place or in several.

    20 bytes an event. Nothing depends on the order in which they come.
    """

    def __init__(self) -> None:
        self._keys: list[tuple[Keys, Keys]] = []
        self._places: list[npt.NDArray[np.int32]] = []

    def add(self, high: Keys, low: Keys, places: npt.NDArray[np.int32]) -> None:
        """Take the keys of strokes and the number of the place of each."""
        self._keys.append((high, low))
        self._places.append(places)

    def different(self, ranks: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return how many different strokes each place has; one of several places counts for the lowest rank.

        Args:
            ranks: Rank of each place, all different, shape (places,).

        Returns:
            By rank, shape (places,).
        """
        if not self._keys:
            return np.zeros(len(ranks), np.int64)
        high, low = (np.concatenate([pair[half] for pair in self._keys]) for half in (0, 1))
        order = np.argsort(high, kind="stable")
        high, low = high[order], low[order]
        same_high = high[1:] == high[:-1]
        if (same_high & (low[1:] != low[:-1])).any():  # two strokes share half a key
            again = np.lexsort((low, high))
            high, low, order = high[again], low[again], order[again]
        first = np.ones(len(order), bool)
        first[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
        of_events = ranks[np.concatenate(self._places)[order]]
        return np.bincount(np.minimum.reduceat(of_events, np.flatnonzero(first)), minlength=len(ranks))


def first_of_equal(high: Keys, low: Keys) -> npt.NDArray[np.int64]:
    """Return of each key the place of the first that equals it; its own if none does before. Shape (keys,)."""
    order = np.lexsort((low, high))  # stable: of equal keys the first stays the first
    begins = np.ones(len(order), bool)
    begins[1:] = (high[order][1:] != high[order][:-1]) | (low[order][1:] != low[order][:-1])
    starts = np.flatnonzero(begins)
    firsts = np.empty(len(order), np.int64)
    firsts[order] = np.repeat(order[starts], np.diff(np.append(starts, len(order))))
    return firsts


def text_keys(texts: pa.Array) -> tuple[Keys, Keys]:
    """Return the keys of an Arrow array of strings."""
    series = pl.Series(texts)
    return series.hash(_SEEDS[0]).to_numpy(), series.hash(_SEEDS[1]).to_numpy()


def stroke_keys(sessions: pa.DictionaryArray, onsets: npt.NDArray[np.float64], labels: Keys) -> tuple[Keys, Keys]:
    """Return the keys of events as strokes: session, onset and set of components.

    Args:
        sessions: Session id of each event.
        onsets: Onset of each event in seconds.
        labels: Components of each event as bits.
    """
    codes = sessions.indices.to_numpy()
    high, low = (
        _mixed(_mixed(keys[codes] ^ onsets.view(np.uint64)) ^ labels) for keys in text_keys(sessions.dictionary)
    )
    return high, low


def _found(run: tuple[Keys, Keys], high: Keys, low: Keys) -> Mask:
    """Which keys a run holds."""
    run_high, run_low = run
    found = np.zeros(len(high), bool)
    place = np.searchsorted(run_high, high)
    open_ = np.flatnonzero(place < len(run_high))
    while True:  # once, unless two keys share their first half
        open_ = open_[run_high[place[open_]] == high[open_]]
        if not len(open_):
            return found
        found[open_] |= run_low[place[open_]] == low[open_]
        place[open_] += 1
        open_ = open_[~found[open_] & (place[open_] < len(run_high))]


def _mixed(keys: Keys) -> Keys:
    """The SplitMix64 finaliser: every bit of a key comes to depend on every other."""
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return keys ^ (keys >> np.uint64(31))
