"""The components that a recast session plays instead of the written ones, so that each occurs, in any company.

A manifest lacks what its kits lack: one has no foot splash, another no cross-stick. Some sessions therefore play
related components instead, beat time with the foot, or strike something by chance. The label is always what is played.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

RELATED: dict[str, tuple[str, ...]] = {
    "snare": ("cross_stick", "rimshot"),
    "rimshot": ("snare", "cross_stick"),
    "cross_stick": ("snare", "rimshot"),
    "hihat_closed": ("hihat_pedal", "hihat_foot_splash", "hihat_open", "ride_bow"),
    "hihat_open": ("crash2", "hihat_foot_splash"),
    "hihat_pedal": ("hihat_closed", "hihat_foot_splash"),
    "ride_bow": ("ride_bell", "hihat_closed", "crash"),
    "ride_bell": ("ride_bow",),
    "crash": ("crash2", "splash", "china"),
    "splash": ("crash", "crash2"),
    "china": ("crash", "splash", "crash2"),
    "tom_high": ("tom_mid",),
    "tom_mid": ("tom_low", "tom_high"),
    "tom_low": ("tom_mid", "aux_percussion"),
    "aux_percussion": ("cross_stick", "tom_high", "ride_bell"),
}
"""Component -> those that a session may play instead: played by the same limb, or at the same places of a groove."""

_SWAPPED = 0.3
"""Share of sessions in which a component is exchanged, for each component."""

_TREADING, _CROSSING, _CROSSED, _STRAYS = 0.15, 0.2, 0.7, 0.04
"""Shares: sessions whose foot keeps time; sessions of cross-sticks, and snare strokes of those; hits with a stray."""


@dataclass(frozen=True, slots=True)
class HitComponent:
    """A component of a hit.

    Attributes:
        component: Canonical label of the core taxonomy.
        velocity: Strength of the stroke, 0..1.
        openness: Openness of hats, if it is known.
    """

    component: str
    velocity: float
    openness: float | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """The components that a session plays instead of those that are written.

    Attributes:
        playable: Components that may be played.
        instead: Component -> the one that is played for it.
        chance: Probability with which the other one is played.
        treading: Chance that the foot closes the hats where they are not played, or in place of a closed stroke.
        crossing: True if most snare strokes are cross-sticks.
        added_velocity: Velocity of components that are not written.
    """

    playable: tuple[str, ...]
    instead: dict[str, str]
    chance: float
    treading: float
    crossing: bool
    added_velocity: float

    @classmethod
    def draw(cls, rng: np.random.Generator, playable: Sequence[str]) -> "Exchange":
        """Draw what a session does."""
        instead = {}
        for component, related in RELATED.items():
            other = related[int(rng.integers(len(related)))]
            if rng.random() < _SWAPPED and other in playable:
                instead[component] = other
        return cls(
            playable=tuple(playable),
            instead=instead,
            chance=float(rng.uniform(0.2, 1.0)),
            treading=float(rng.uniform(0.1, 0.5)) if rng.random() < _TREADING and "hihat_pedal" in playable else 0.0,
            crossing=bool(rng.random() < _CROSSING) and "cross_stick" in playable,
            added_velocity=float(rng.uniform(0.3, 0.8)),
        )

    def play(self, written: Sequence[HitComponent], rng: np.random.Generator) -> tuple[HitComponent, ...]:
        """Return what is played where `written` stands; each component once, at least one."""
        played: dict[str, HitComponent] = {}
        for stroke in written:
            component = self._exchanged(stroke, rng)
            played.setdefault(component.component, component)
        self._tread(played, rng)
        if rng.random() < _STRAYS:
            self._add(played, self.playable[int(rng.integers(len(self.playable)))])
        return tuple(played.values())

    def _exchanged(self, stroke: HitComponent, rng: np.random.Generator) -> HitComponent:
        component = stroke.component
        if component in self.instead and rng.random() < self.chance:
            component = self.instead[component]
        if self.crossing and component == "snare" and rng.random() < _CROSSED:
            component = "cross_stick"
        return stroke if component == stroke.component else HitComponent(component, stroke.velocity)

    def _tread(self, played: dict[str, HitComponent], rng: np.random.Generator) -> None:
        if rng.random() >= self.treading:
            return
        if played.keys() == {"hihat_closed"}:
            shut = played.pop("hihat_closed")
            played["hihat_pedal"] = replace(shut, component="hihat_pedal")
        elif not any(component.startswith("hihat") for component in played):
            self._add(played, "hihat_pedal")

    def _add(self, played: dict[str, HitComponent], component: str) -> None:
        played.setdefault(component, HitComponent(component, round(self.added_velocity, 3)))
