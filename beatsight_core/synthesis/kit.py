"""A drum kit: bodies for all core components, how loud and where each stands, and the sounds of its strokes.

Sounds are made when first asked for and kept: a few strengths of each body, and a few takes of each strength.
"""

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from beatsight_core.synthesis import cymbals, drums
from beatsight_core.synthesis.synth import Body, NoiseBank, Signal, gain, strike
from beatsight_core.synthesis.variety import varied_bodies, varied_levels

LAYERS = (0.25, 0.5, 0.75, 1.0)
TAKES = 3

_LEVEL_DB = {
    "kick": 0.0, "snare": -1.0, "rimshot": 0.0, "cross_stick": -4.0, "hihat_closed": -10.0, "hihat_open": -9.0,
    "hihat_pedal": -11.0, "hihat_foot_splash": -9.5, "ride_bow": -9.0, "ride_bell": -8.0, "crash": -4.0, "crash2": -5.0,
    "splash": -5.5, "china": -4.0, "tom_high": -1.5, "tom_mid": -1.0, "tom_low": -0.5, "aux_percussion": -6.5,
}  # fmt: skip
"""RMS of the first 60 ms of a full stroke, relative to the kick, as mixed on a record."""

_PAN = {
    "kick": 0.0, "snare": 0.08, "rimshot": 0.08, "cross_stick": 0.12, "hihat_closed": 0.42, "hihat_open": 0.42,
    "hihat_pedal": 0.42, "hihat_foot_splash": 0.42, "ride_bow": -0.5, "ride_bell": -0.48, "crash": 0.55,
    "crash2": -0.62, "splash": 0.2, "china": -0.75, "tom_high": 0.28, "tom_mid": -0.12, "tom_low": -0.45,
    "aux_percussion": 0.65,
}  # fmt: skip
"""Place between left (-1) and right (1), as the drummer's audience sees it."""

_ALIASES = {("china", 1): "china2", ("tom_low", 1): "floor_tom_2"}
"""A second piece of a class is labelled as corpora label it, by an alias of the taxonomy."""


@dataclass(frozen=True)
class Kit:
    """A kit drawn from a seed.

    Attributes:
        kit_id: Id of the kit in events.
        seed: Seed of everything in the kit.
        auxiliary: Kind of its aux_percussion, "cowbell" or "tambourine".
        rate_hz: Sample rate of its sounds.
        varied: True to let it differ from other kits far more than kits in a shop do: see `variety`.
    """

    kit_id: str
    seed: tuple[int, ...]
    auxiliary: str
    rate_hz: int
    varied: bool = False

    @cached_property
    def bodies(self) -> dict[str, tuple[Body, ...]]:
        """Component -> its variants."""
        return varied_bodies(self._plain_bodies, (*self.seed, 4)) if self.varied else self._plain_bodies

    @property
    def _plain_bodies(self) -> dict[str, tuple[Body, ...]]:
        rng = np.random.default_rng([*self.seed, 0])
        snare, rimshot, cross_stick = drums.snare(rng)
        high, mid, low, second_low = map(drums.buzzing, drums.toms(rng))
        kick = drums.buzzing(drums.kick(rng))
        hat = cymbals.hihat(rng)
        bow, bell = cymbals.ride(rng)
        auxiliary = drums.cowbell(rng) if self.auxiliary == "cowbell" else drums.tambourine(rng)
        return {
            "kick": (kick,), "snare": (snare,), "rimshot": (rimshot,), "cross_stick": (cross_stick,),
            "hihat_closed": (hat.closed,), "hihat_open": hat.open_steps, "hihat_pedal": (hat.pedal,),
            "hihat_foot_splash": (hat.foot_splash,), "ride_bow": (bow,), "ride_bell": (bell,),
            "crash": (cymbals.crash(rng),), "crash2": (cymbals.crash2(rng),), "splash": (cymbals.splash(rng),),
            "china": (cymbals.china(rng), cymbals.china(rng)),
            "tom_high": (high,), "tom_mid": (mid,), "tom_low": (low, second_low), "aux_percussion": (auxiliary,),
        }  # fmt: skip

    @cached_property
    def levels(self) -> dict[str, float]:
        """Component -> amplitude in this kit's mix."""
        rng = np.random.default_rng([*self.seed, 1])
        levels = {component: float(gain(db + rng.uniform(-1.5, 1.5))) for component, db in _LEVEL_DB.items()}
        return varied_levels(levels, (*self.seed, 5)) if self.varied else levels

    @cached_property
    def _bank(self) -> NoiseBank:
        if self.varied:
            return _common_bank(self.rate_hz)
        return NoiseBank(np.random.default_rng([*self.seed, 2]), self.rate_hz)

    @cached_property
    def _sounds(self) -> dict[tuple[str, int, int, int], Signal]:
        return {}

    def pan(self, component: str) -> float:
        """Return the position of a component between left (-1) and right (1)."""
        return _PAN[component]

    def stroke(self, component: str, variant: int, velocity: float, take: int) -> Signal:
        """Return the sound of a stroke at its level in the mix: softer ones are darker, not only quieter.

        Args:
            component: Canonical label.
            variant: Index of the component's body.
            velocity: Strength of the stroke, 0..1.
            take: Index of the recording, of the `TAKES` of that strength.
        """
        layer = int(np.argmin([abs(strength - velocity) for strength in LAYERS]))
        key = (component, variant, layer, take % TAKES)
        if key not in self._sounds:
            # Each sound has a seed of its own, so it does not depend on which were asked for before.
            place = sorted(_LEVEL_DB).index(component)
            rng = np.random.default_rng([*self.seed, 3, place, *key[1:]])
            self._sounds[key] = strike(self.bodies[component][variant], self._bank, rng, LAYERS[layer])
        return np.asarray(self._sounds[key] * np.float32(self.levels[component] * velocity**1.2))


@cache
def _common_bank(rate_hz: int) -> NoiseBank:
    """Noise for kits that are played for one session: making it would take longer than their sounds."""
    return NoiseBank(np.random.default_rng(0), rate_hz)


def spelling(component: str, variant: int) -> str:
    """Return the label that events give a variant of a component."""
    return _ALIASES.get((component, variant), component)
