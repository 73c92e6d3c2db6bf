"""Kits that differ far more than the demo's: each body, and each family of bodies, bent at random.

A family shares one draw, as the strokes of one instrument do: a deep snare drum is deep for rimshots too, a bright
pair of hats is bright open and shut. On top of that each body has draws of its own. Spreads were chosen so that a model
trained on such kits heard a recorded kit it had never met best; they are wider than those of kits in a shop.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from beatsight_core.synthesis.synth import Body, Curve, Floats, Modes, Noise, at, gain

_Drawn = TypeVar("_Drawn")
_Bodies = Mapping[str, tuple[Body, ...]]

_FAMILY = {
    "snare": "snare", "rimshot": "snare", "cross_stick": "snare", "hihat_closed": "hats", "hihat_open": "hats",
    "hihat_pedal": "hats", "hihat_foot_splash": "hats", "ride_bow": "ride", "ride_bell": "ride", "tom_high": "toms",
    "tom_mid": "toms", "tom_low": "toms",
}  # fmt: skip
"""Component -> the instrument that it is played on; the others are instruments of their own."""

_CYMBALS = ("hats", "ride", "crash", "crash2", "splash", "china")
_BEATEN = ("kick", "toms")
_WIRED = ("snare", "rimshot")
_BY_FOOT = ("hihat_pedal", "hihat_foot_splash")

_HIGHEST_HZ = 19000.0
_LEVEL_DB = 3.9
_GRID_HZ: Floats = np.array([60.0, 100, 200, 400, 800, 1600, 3200, 5000, 8000, 12000, 16000, 19000])


@dataclass(frozen=True, slots=True)
class _Character:
    """What the bodies of a family have in common.

    Attributes:
        pitch: Factor on frequencies.
        decay: Factor on decay times.
        tilt_db: Slope per octave, around 1 kHz.
    """

    pitch: float
    decay: float
    tilt_db: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "_Character":
        return cls(_factor(rng, 0.234), _factor(rng, 0.52), float(rng.normal(0.0, 1.95)))


@dataclass(frozen=True, slots=True)
class _Ripple:
    """Slow waves in a spectrum along the octaves, as of a shell, a head's tuning or a microphone near by."""

    phase: float
    db: float

    @classmethod
    def draw(cls, rng: np.random.Generator, db: float) -> "_Ripple":
        return cls(float(rng.uniform(0.0, 2.0 * np.pi)), db)

    def at(self, hz: Floats) -> Floats:
        return np.asarray(self.db * np.sin(self.phase + 1.3 * np.log2(np.maximum(hz, 30.0) / 100.0)))


def varied_bodies(bodies: _Bodies, seed: tuple[int, ...]) -> dict[str, tuple[Body, ...]]:
    """Bend the bodies of a kit.

    Args:
        bodies: Component -> its variants.
        seed: Seed of all that is drawn here.
    """
    rng = np.random.default_rng(seed)
    character = _once_a_family(lambda: _Character.draw(rng))
    bent = {name: tuple(_bent(body, rng, character(name)) for body in variants) for name, variants in bodies.items()}
    return _refitted(bent, rng)


def varied_levels(levels: Mapping[str, float], seed: tuple[int, ...]) -> dict[str, float]:
    """Bend the levels of a kit's mix."""
    rng = np.random.default_rng(seed)
    return {name: level * float(gain(rng.normal(0.0, _LEVEL_DB))) for name, level in levels.items()}


def _factor(rng: np.random.Generator, octaves: float) -> float:
    """A factor around 1; two thirds lie within so many octaves."""
    return float(2.0 ** rng.normal(0.0, octaves))


def _once_a_family(draw: Callable[[], _Drawn]) -> Callable[[str], _Drawn]:
    """A function of a component that draws anew for each family, and gives all of its components the same."""
    drawn: dict[str, _Drawn] = {}

    def of(component: str) -> _Drawn:
        family = _family(component)
        if family not in drawn:
            drawn[family] = draw()
        return drawn[family]

    return of


def _family(component: str) -> str:
    return _FAMILY.get(component, component)


def _bent(body: Body, rng: np.random.Generator, character: _Character) -> Body:
    """A body with its family's character and deviations of its own."""
    pitch, decay = character.pitch * _factor(rng, 0.065), character.decay * _factor(rng, 0.325)
    tilt_db, balance_db = character.tilt_db + rng.normal(0.0, 1.3), rng.normal(0.0, 3.25)
    ripple = _Ripple.draw(rng, abs(float(rng.normal(0.0, 3.25))))
    hz, count = body.modes.hz, body.modes.hz.size
    tilted = tilt_db * np.log2(np.maximum(hz, 40.0) / 1000.0)
    modes = Modes(
        hz=np.minimum(hz * pitch, _HIGHEST_HZ),
        t60=body.modes.t60 * decay * 2.0 ** rng.normal(0.0, 0.195, count),
        db=body.modes.db + tilted + balance_db + rng.normal(0.0, 2.6, count) + ripple.at(hz),
    )
    shift = character.pitch**0.5
    return replace(
        body,
        modes=modes,
        noises=tuple(_bent_noise(noise, rng, (shift, decay, tilt_db), ripple.db) for noise in body.noises),
        length_s=body.length_s * float(np.clip(decay, 0.8, 1.8)),
        glide=body.glide * _factor(rng, 0.52),
        dulling_db=body.dulling_db * _factor(rng, 0.39),
        wander_db=body.wander_db * _factor(rng, 0.39),
    )


def _bent_noise(noise: Noise, rng: np.random.Generator, common: tuple[float, float, float], ripple_db: float) -> Noise:
    """A burst bent by what it shares with its body (shift, decay, tilt) and by itself."""
    shift, decay, tilt_db = common
    gain_db, shift, decay = rng.normal(0.0, 3.25), shift * _factor(rng, 0.195), decay * _factor(rng, 0.325)
    hz, db = np.asarray(noise.db, dtype=np.float64).T
    spectrum = db + gain_db + tilt_db * np.log2(hz / 1000.0) + _Ripple.draw(rng, ripple_db).at(hz)
    return replace(
        noise,
        db=_curve(hz * shift, spectrum),
        t60=tuple((at_hz, t60 * decay) for at_hz, t60 in noise.t60),
        rise_s=noise.rise_s * _factor(rng, 0.52),
        flutter_hz=noise.flutter_hz * _factor(rng, 0.39),
    )


def _refitted(bodies: _Bodies, rng: np.random.Generator) -> dict[str, tuple[Body, ...]]:
    """What bending cannot reach: broad cymbals, audible sticks on drums, more or less of the wires, slow feet."""
    breadth = _once_a_family(lambda: (float(rng.uniform(5.0, 30.0)), float(rng.uniform(-1.0, 5.0))))
    stick_db = _once_a_family(lambda: float(rng.uniform(-36.0, -12.0)))
    wires_db = float(rng.uniform(-14.0, 4.0))
    foot_s = float(np.exp(rng.uniform(np.log(0.003), np.log(0.06))))

    def refit(name: str, body: Body) -> Body:
        body = _by_foot(body, rng, foot_s) if name in _BY_FOOT else body
        if _family(name) in _CYMBALS:
            return _broadened(body, *breadth(name))
        if _family(name) in _BEATEN:
            return _with_stick(body, rng, stick_db(name) + float(rng.normal(0.0, 2.0)))
        return _rewired(body, wires_db) if name in _WIRED else body

    return {name: tuple(refit(name, body) for body in variants) for name, variants in bodies.items()}


def _by_foot(body: Body, rng: np.random.Generator, rise_s: float) -> Body:
    """Cymbals that a foot brings together: the sound grows, and its noise comes after the contact."""
    noises = (
        replace(noise, rise_s=max(noise.rise_s, rise_s), delay_s=noise.delay_s + rise_s * float(rng.uniform(0.0, 1.5)))
        for noise in body.noises
    )
    slow_s = min(rise_s, 0.018)
    return replace(body, noises=tuple(noises), soft_contact_s=slow_s, length_s=max(body.length_s, 0.3))


def _broadened(body: Body, floor_db: float, tilt_db: float) -> Body:
    """A cymbal whose wash reaches down to `floor_db` under its peak from 250 Hz on, with another tilt above 2 kHz."""

    def tilted(hz: Floats) -> Floats:
        return np.asarray(tilt_db * np.log2(np.maximum(hz, 2000.0) / 2000.0))

    wash, *others = body.noises
    level = at(wash.db, _GRID_HZ)
    floor = max(db for _, db in wash.db) - floor_db - 9.0 * np.maximum(0.0, np.log2(250.0 / _GRID_HZ))
    broad = replace(wash, db=_curve(_GRID_HZ, np.maximum(level, floor) + tilted(_GRID_HZ)))
    modes = replace(body.modes, db=body.modes.db + tilted(body.modes.hz))
    return replace(body, modes=modes, noises=(broad, *others))


def _with_stick(body: Body, rng: np.random.Generator, db: float) -> Body:
    """A drum whose stick, beater or head is heard beside its tone."""
    hz, t60 = float(np.exp(rng.uniform(np.log(1500.0), np.log(7000.0)))), float(rng.uniform(0.03, 0.3))
    spectrum = (
        (100.0, db - 30.0), (400.0, db - 8.0), (1000.0, db), (hz, db + float(rng.uniform(0.0, 5.0))),
        (9000.0, db - 3.0), (18000.0, db - 25.0),
    )  # fmt: skip
    stick = Noise(db=spectrum, t60=((100.0, t60), (4000.0, t60), (18000.0, 0.4 * t60)))
    return replace(body, noises=(*body.noises, stick))


def _rewired(body: Body, db: float) -> Body:
    """A snare drum with more or less of its wires."""
    wires, *others = body.noises
    return replace(body, noises=(replace(wires, db=tuple((hz, level + db) for hz, level in wires.db)), *others))


def _curve(hz: Floats, values: Floats) -> Curve:
    return tuple(zip(hz.tolist(), values.tolist(), strict=True))
