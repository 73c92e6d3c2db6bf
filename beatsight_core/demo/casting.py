"""The cast of the sessions: decks of styles, kits, drummers, rooms, and ids that fall into the wanted split."""

import itertools
from collections.abc import Iterator

import numpy as np

from beatsight_core.demo.grooves import FILLS, Groove
from beatsight_core.demo.performance import Drummer
from beatsight_core.demo.source_formats import SourceFormat
from beatsight_core.manifest.splits import split_of_group
from beatsight_core.settings import DatasetSettings
from beatsight_core.synthesis.kit import Kit
from beatsight_core.synthesis.room import Room

KITS_PER_SOURCE = 2
_DOWNBEAT_CYMBALS = ("crash", "crash2", "splash", "china")
_AUXILIARIES = ("cowbell", "tambourine")
_DRUMMER_COUNT = 6


class Deck:
    """A deck of styles, cymbals and fills, shuffled and dealt out in rounds: chance in the order, none in how often."""

    def __init__(self, rng: np.random.Generator, grooves: tuple[Groove, ...]):
        self._grooves = _rounds(rng, len(grooves))
        self._cymbals = _rounds(np.random.default_rng(rng.integers(1 << 62)), len(_DOWNBEAT_CYMBALS))
        self._fills = _rounds(np.random.default_rng(rng.integers(1 << 62)), len(FILLS))
        self._styles = grooves

    def groove(self) -> Groove:
        """Return the next style."""
        return self._styles[next(self._grooves)]

    def cymbal(self) -> str:
        """Return the next cymbal for a first beat."""
        return _DOWNBEAT_CYMBALS[next(self._cymbals)]

    def fill(self) -> int:
        """Return the index of the next fill."""
        return next(self._fills)


def _rounds(rng: np.random.Generator, count: int) -> Iterator[int]:
    while True:
        yield from rng.permutation(count).tolist()


def session_id_in(source: SourceFormat, number: int, split: str) -> str:
    """Return a session's id with the first take that the platform's own rule puts into the wanted split.

    So few sessions would otherwise leave to luck whether validation holds every component.
    """
    takes = (f"{source.name}_{number:02d}_take{take}" for take in itertools.count(1))
    return next(take for take in takes if split_of_group(take, DatasetSettings()) == split)


def draw_kits(seed: tuple[int, ...], place: int, source: SourceFormat) -> tuple[Kit, ...]:
    """Draw the kits of a source set, each from its own seed."""
    name = source.name.removeprefix("demo_")
    return tuple(
        Kit(f"kit_{name}_{index + 1}", (*seed, index), _AUXILIARIES[(place + index) % 2], source.rate_hz)
        for index in range(KITS_PER_SOURCE)
    )


def draw_drummers(rng: np.random.Generator) -> tuple[Drummer, ...]:
    """Draw the players."""
    return tuple(
        Drummer(
            drummer_id=f"demo_drummer_{index + 1}",
            looseness_s=float(rng.uniform(0.002, 0.006)),
            foot_lead_s=float(rng.uniform(-0.003, 0.003)),
            lag_s=float(rng.uniform(-0.004, 0.008)),
            touch=float(rng.uniform(0.92, 1.04)),
            wildness=float(rng.uniform(0.02, 0.05)),
        )
        for index in range(_DRUMMER_COUNT)
    )


def draw_rooms(seed: tuple[int, ...]) -> tuple[Room, ...]:
    """Draw the rooms, from the smallest to the largest."""
    rng = np.random.default_rng(seed)
    names = ("booth", "studio", "live_room", "hall")
    t60_s, wet_db, first_s = (0.18, 0.32, 0.5, 0.75), (-17.0, -14.0, -13.0, -14.0), (0.002, 0.004, 0.008, 0.014)
    return tuple(
        Room(f"demo_{name}", (*seed, place), t60 * float(rng.uniform(0.9, 1.1)), wet, first)
        for place, (name, t60, wet, first) in enumerate(zip(names, t60_s, wet_db, first_s, strict=True))
    )
