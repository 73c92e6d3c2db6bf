"""Cymbals drawn at random: plates with hundreds of inharmonic partials and a wash of noise that grows after the blow.

A thin plate has about as many modes in each hertz, so the partials are spread evenly and not in octaves. The high ones
of a crash are fed by the low ones, and its wash peaks tens of milliseconds after the stick (N. H. Fletcher and T. D.
Rossing, *The Physics of Musical Instruments*, chapter 20); a splash is too small for that, a ride too thick.
"""

from dataclasses import dataclass

import numpy as np

from beatsight_core.synthesis.drums import bump, join
from beatsight_core.synthesis.synth import Body, Curve, Modes, Noise, at

OPEN_STEPS = (0.4, 0.7, 1.0)
"""How far the hats are apart for each of the open strokes: 0 is shut, 1 wide open."""


@dataclass(frozen=True, slots=True)
class HiHat:
    """Two cymbals on a stand. The open strokes go from half open to wide open."""

    closed: Body
    open_steps: tuple[Body, ...]
    pedal: Body
    foot_splash: Body


def crash(rng: np.random.Generator) -> Body:
    """Draw a large crash (18 inches): broad and dark, a wash that swells."""
    size = rng.uniform(0.94, 1.06)
    modes = _plate(
        rng, low_hz=170.0 * size, high_hz=8000.0, count=260,
        db=((150, -2), (400, 3), (900, 2), (2500, -3), (6000, -12), (12000, -24)),
        t60=((150, 3.4), (1000, 2.6), (4000, 1.7), (12000, 0.8)),
    )  # fmt: skip
    wash = Noise(
        db=((100, -40), (300, -12), (800, -4), (2500, -2), (5500, -4), (10000, -11), (18000, -24)),
        t60=((100, 1.2), (1000, 1.9), (5000, 1.4), (18000, 0.7)),
        rise_s=0.016,
    )
    return Body(modes, (wash, _stick(3500.0, -6.0)), length_s=2.4, dulling_db=3.0, wander_db=2.0)


def crash2(rng: np.random.Generator) -> Body:
    """Draw a thin, smaller crash (15 inches): nothing below 500 Hz, most of it from 4 kHz up, quicker."""
    size = rng.uniform(0.94, 1.06)
    modes = _plate(
        rng, low_hz=330.0 * size, high_hz=14000.0, count=240,
        db=((300, -26), (700, -12), (1400, -6), (3500, 0), (8000, 0), (14000, -8)),
        t60=((500, 1.6), (2000, 1.4), (6000, 1.1), (14000, 0.7)),
    )  # fmt: skip
    wash = Noise(
        db=((100, -60), (500, -34), (1200, -18), (3500, -6), (7500, 0), (12000, -2), (18000, -8)),
        t60=((100, 0.5), (2000, 1.0), (7000, 1.0), (18000, 0.7)),
        rise_s=0.007,
    )
    return Body(modes, (wash, _stick(6500.0, -5.0)), length_s=1.8, dulling_db=2.0, wander_db=2.0)


def splash(rng: np.random.Generator) -> Body:
    """Draw a splash of ten inches: speaks at once, gone in half a second, a pitch of its own near 1 kHz."""
    size = rng.uniform(0.93, 1.07)
    modes = _plate(
        rng, low_hz=500.0 * size, high_hz=11000.0, count=120,
        db=((450, -14), (850, 4), (1600, 3), (3500, 0), (9000, -5), (14000, -12)),
        t60=((800, 0.5), (3000, 0.38), (12000, 0.22)),
    )  # fmt: skip
    wash = Noise(
        db=((100, -60), (700, -26), (1800, -7), (5000, -2), (10000, -4), (18000, -14)),
        t60=((100, 0.2), (3000, 0.34), (18000, 0.2)),
    )
    return Body(modes, (wash, _stick(5000.0, -2.0)), length_s=0.7, dulling_db=2.0, wander_db=2.0)


def china(rng: np.random.Generator) -> Body:
    """Draw a china with upturned edge: a trashy cluster of low inharmonic partials and rough noise in the middle."""
    size = rng.uniform(0.93, 1.07)
    modes = _plate(
        rng, low_hz=230.0 * size, high_hz=4200.0, count=130,
        db=((200, 2), (420, 6), (900, 5), (1800, 1), (4200, -9)),
        t60=((200, 1.1), (1000, 0.9), (4200, 0.5)),
    )  # fmt: skip
    trash = Noise(
        db=((100, -30), (350, -7), (900, 2), (1700, 3), (3200, -2), (6000, -11), (12000, -20), (18000, -32)),
        t60=((100, 0.5), (1500, 0.85), (6000, 0.5), (18000, 0.3)),
        rise_s=0.003, flutter_hz=70.0,
    )  # fmt: skip
    return Body(modes, (trash, _stick(2500.0, -4.0)), length_s=1.3, dulling_db=2.0, wander_db=3.0)


def ride(rng: np.random.Generator) -> tuple[Body, Body]:
    """Draw a ride, a heavy cymbal: on the bow, a dry ping over little wash; on the bell, a clear chord."""
    size = rng.uniform(0.94, 1.06)
    return _ride_bow(rng, size), _ride_bell(rng, size)


def _ride_bow(rng: np.random.Generator, size: float) -> Body:
    bow = _plate(
        rng, low_hz=240.0 * size, high_hz=14000.0, count=170,
        db=((240, -18), (500, -11), (900, -9), (1800, -5), (3200, 3), (5500, 2), (10000, -8), (14000, -17)),
        t60=((300, 2.4), (1500, 1.8), (3500, 1.0), (10000, 0.5)),
    )  # fmt: skip
    wash = Noise(db=bump(4800.0, 1.6, -11.0, -40.0), t60=((100, 2.0), (5000, 1.8), (18000, 0.9)), rise_s=0.03)
    ping = Noise(db=bump(3600.0 * size, 0.7, 3.0, -32.0), t60=((100, 0.05), (3500, 0.075), (18000, 0.04)))
    return Body(bow, (wash, ping), length_s=2.0, dulling_db=1.5, wander_db=1.5)


def _ride_bell(rng: np.random.Generator, size: float) -> Body:
    hz = 640.0 * size * np.array([1.0, 1.51, 2.27, 3.09, 4.05, 5.12, 6.4, 7.7, 9.1])
    hz = np.concatenate([hz, hz[:6] * (1.0 + rng.uniform(0.002, 0.006, 6))])
    t60 = np.array([1.9, 1.8, 1.6, 1.4, 1.2, 1.0, 0.8, 0.6, 0.5])
    db = np.array([-1.0, 3.0, 5.0, 4.0, 3.0, 0.0, -3.0, -6.0, -9.0]) + rng.normal(0.0, 1.5, 9)
    chord = Modes(hz=hz, t60=np.concatenate([t60, t60[:6] * 0.9]), db=np.concatenate([db, db[:6] - 4.0]))
    rest = _plate(
        rng, low_hz=260.0 * size, high_hz=9000.0, count=90,
        db=((260, -24), (900, -17), (4000, -13), (9000, -19)),
        t60=((300, 1.8), (1500, 1.4), (9000, 0.6)),
    )  # fmt: skip
    wash = Noise(db=bump(5500.0, 1.4, -18.0, -46.0), t60=((100, 1.2), (18000, 0.8)), rise_s=0.02)
    return Body(join(chord, rest), (wash, _stick(4200.0, -8.0)), length_s=1.8, dulling_db=1.5, wander_db=1.0)


def hihat(rng: np.random.Generator) -> HiHat:
    """Draw a pair of fourteen-inch cymbals, played with the stick or closed with the foot."""
    size = rng.uniform(0.93, 1.07)
    return HiHat(
        closed=_closed(rng, size),
        open_steps=tuple(_open(rng, size, openness) for openness in OPEN_STEPS),
        pedal=_pedal(rng, size),
        foot_splash=_foot_splash(rng, size),
    )


def _closed(rng: np.random.Generator, size: float) -> Body:
    modes = _plate(
        rng, low_hz=900.0 * size, high_hz=15000.0, count=110,
        db=((900, -26), (2500, -12), (5000, -4), (8500, 0), (15000, -6)),
        t60=((2500, 0.13), (8000, 0.15), (15000, 0.1)),
    )  # fmt: skip
    sizzle = Noise(
        db=((100, -60), (1500, -34), (4000, -14), (7500, -3), (11000, 0), (18000, -7)),
        t60=((100, 0.06), (8000, 0.14), (18000, 0.1)),
    )
    return Body(modes, (sizzle, _stick(6000.0, -6.0)), length_s=0.3, dulling_db=1.5, wander_db=2.0)


def _open(rng: np.random.Generator, size: float, openness: float) -> Body:
    t60 = 0.45 + 0.8 * openness
    modes = _plate(
        rng, low_hz=600.0 * size, high_hz=14000.0, count=170,
        db=((600, -24), (1500, -12), (3500, -4), (7000, 0), (14000, -7)),
        t60=((1500, t60), (6000, t60 * 0.9), (14000, t60 * 0.6)),
    )  # fmt: skip
    wash = Noise(
        db=((100, -60), (1000, -32), (3000, -10), (6000, 0), (10000, 0), (18000, -9)),
        t60=((100, t60), (6000, t60 * 0.9), (18000, t60 * 0.6)),
        rise_s=0.004, flutter_hz=90.0,
    )  # fmt: skip
    return Body(modes, (wash, _stick(5500.0, -4.0)), length_s=1.2 * t60, dulling_db=2.0, wander_db=2.0)


def _pedal(rng: np.random.Generator, size: float) -> Body:
    """No stick: two plates meet over their whole edge and hold each other, with the air between them pressed out."""
    modes = _plate(
        rng, low_hz=450.0 * size, high_hz=12000.0, count=90,
        db=((450, -12), (900, -3), (1800, 0), (4000, 1), (7000, -6), (12000, -18)),
        t60=((600, 0.09), (3000, 0.08), (7000, 0.06)),
    )  # fmt: skip
    chick = Noise(
        db=((100, -40), (350, -16), (900, -8), (2400, 0), (4500, -1), (8000, -9), (18000, -26)),
        t60=((100, 0.06), (3000, 0.09), (18000, 0.06)),
        rise_s=0.003,
    )
    return Body(modes, (chick,), length_s=0.2, dulling_db=1.0, wander_db=2.0, soft_contact_s=0.002)


def _foot_splash(rng: np.random.Generator, size: float) -> Body:
    """The plates meet and part again: a chick that goes on ringing, rough at first, without a stick's click."""
    modes = _plate(
        rng, low_hz=380.0 * size, high_hz=13000.0, count=150,
        db=((380, -12), (700, -1), (1500, 2), (3500, 1), (8000, -8), (13000, -20)),
        t60=((600, 0.9), (3000, 0.8), (8000, 0.5)),
    )  # fmt: skip
    clash = Noise(
        db=((100, -40), (700, -12), (2000, 0), (4500, 0), (8000, -8), (18000, -24)),
        t60=((100, 0.3), (3000, 0.6), (18000, 0.35)),
        rise_s=0.006, flutter_hz=28.0,
    )  # fmt: skip
    return Body(modes, (clash,), length_s=0.9, dulling_db=1.0, wander_db=2.0, soft_contact_s=0.003)


def _stick(hz: float, db: float) -> Noise:
    return Noise(db=bump(hz, 1.0, db, db - 34.0), t60=((100, 0.012), (18000, 0.008)))


def _plate(rng: np.random.Generator, *, low_hz: float, high_hz: float, count: int, db: Curve, t60: Curve) -> Modes:
    """`count` of a plate's partials, of random strength; the level of their sum does not grow with `count`."""
    slots = (np.arange(count) + rng.random(count)) / count
    # A little denser at the bottom, where the curvature of a cymbal pushes its modes together.
    hz = low_hz + (high_hz - low_hz) * slots**1.25
    level = at(db, hz) + rng.normal(0.0, 4.0, count) - 10.0 * np.log10(count / 2.0) + 6.0
    return Modes(hz=hz, t60=at(t60, hz) * rng.uniform(0.75, 1.25, count), db=level)
