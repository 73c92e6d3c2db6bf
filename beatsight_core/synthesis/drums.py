"""Drums and hand percussion drawn at random: membranes over shells, snare wires, sticks on rims.

The ratios of a membrane's modes are those of the zeros of the Bessel functions (T. D. Rossing, *Science of Percussion
Instruments*, chapter 2), each a little off as on a real head.
"""

from dataclasses import replace

import numpy as np

from beatsight_core.synthesis.synth import Body, Curve, Floats, Modes, Noise

_MEMBRANE: Floats = np.array([1.0, 1.593, 2.135, 2.295, 2.653, 2.917, 3.155, 3.5, 3.598, 3.647, 4.059, 4.132])


def kick(rng: np.random.Generator) -> Body:
    """Draw a bass drum with a felt or plastic beater."""
    low_hz = rng.uniform(46.0, 62.0)
    damping = rng.uniform(0.8, 1.25)
    modes = _membrane(rng, low_hz, count=7, t60=0.42 * damping, t60_slope=0.9, db_slope=-7.5)
    click_hz = rng.uniform(2500.0, 4200.0)
    beater = Noise(db=bump(click_hz, 1.1, -19.0, -44.0), t60=((100, 0.03), (18000, 0.022)))
    shell = _shell(-11.0, 250.0, 0.28)
    return Body(
        modes, (beater, shell), length_s=0.7, glide=rng.uniform(0.7, 1.3), glide_s=rng.uniform(0.012, 0.022),
        dulling_db=3.5, wander_db=0.7, soft_contact_s=0.0008,
    )  # fmt: skip


def snare(rng: np.random.Generator) -> tuple[Body, Body, Body]:
    """Draw one snare drum, hit in three ways: in the middle, middle and rim together, stick laid across the rim."""
    low_hz = rng.uniform(175.0, 225.0)
    head = _membrane(rng, low_hz, count=9, t60=rng.uniform(0.3, 0.42), t60_slope=0.7, db_slope=-4.0)
    tone_hz = rng.uniform(3800.0, 5600.0)
    wire_t60 = rng.uniform(0.2, 0.3)
    wires = Noise(
        db=((100, -60), (400, -34), (900, -14), (1800, -7), (tone_hz, -4), (9000, -11), (12500, -20), (18000, -34)),
        t60=((100, 0.12), (1500, wire_t60), (6000, wire_t60 * 0.9), (18000, wire_t60 * 0.6)),
        rise_s=0.0012,
    )
    stick = Noise(db=((100, -50), (800, -18), (3000, -8), (7000, -12), (18000, -30)), t60=((100, 0.02), (18000, 0.012)))
    shell = _shell(-16.0, 400.0, 0.4)
    centre = Body(head, (wires, stick, shell), length_s=0.6, glide=0.12, glide_s=0.02, dulling_db=2.5, wander_db=1.2)
    return centre, _rimshot(rng, centre, wires, shell), _cross_stick(rng, low_hz)


def _rimshot(rng: np.random.Generator, centre: Body, wires: Noise, shell: Noise) -> Body:
    """The hoop rings and the shell cracks, over the same drum."""
    ring_hz = rng.uniform(430.0, 520.0) * np.array([1.0, 1.83, 2.71, 3.62, 4.9, 6.1])
    ring = Modes(
        hz=ring_hz,
        t60=np.array([0.3, 0.26, 0.2, 0.15, 0.1, 0.08]) * rng.uniform(0.85, 1.2),
        db=np.array([3.0, 6.0, 5.0, 3.0, 2.0, 0.0]) + rng.normal(0, 1.0, 6),
    )
    crack = Noise(
        db=((100, -50), (600, -10), (1300, 4), (2600, 6), (6000, -2), (18000, -26)), t60=((100, 0.03), (18000, 0.018))
    )
    softer = replace(wires, db=tuple((hz, db - 7.0) for hz, db in wires.db))
    return replace(centre, modes=join(centre.modes, ring), noises=(softer, crack, shell), glide=0.05, dulling_db=1.5)


def _cross_stick(rng: np.random.Generator, low_hz: float) -> Body:
    """Wood on metal with the stick's shaft as resonator; a hand damps the head and the wires hardly answer."""
    knock_hz = rng.uniform(820.0, 1050.0) * np.array([1.0, 1.62, 2.43, 3.4, 4.7])
    knock = Modes(
        hz=np.concatenate([[low_hz * 1.9], knock_hz]),
        t60=np.array([0.06, 0.1, 0.075, 0.05, 0.035, 0.025]) * rng.uniform(0.9, 1.2),
        db=np.array([-10.0, 0.0, 3.0, 0.0, -4.0, -9.0]) + rng.normal(0, 0.8, 6),
    )
    tick = Noise(db=bump(2400.0, 1.2, -10.0, -36.0), t60=((100, 0.012), (18000, 0.008)))
    wires = Noise(db=bump(3500.0, 2.0, -38.0, -60.0), t60=((100, 0.1), (18000, 0.08)))
    return Body(knock, (tick, wires), length_s=0.25, dulling_db=1.5, wander_db=1.0, soft_contact_s=0.0002)


def toms(rng: np.random.Generator) -> tuple[Body, Body, Body, Body]:
    """Draw four toms: high, mid, floor, and a second floor tom."""
    high_hz = rng.uniform(168.0, 190.0)
    return (
        tom(rng, high_hz, 0.55),
        tom(rng, high_hz * rng.uniform(0.69, 0.73), 0.7),
        tom(rng, high_hz * rng.uniform(0.46, 0.49), 0.95),
        tom(rng, high_hz * rng.uniform(0.38, 0.41), 1.1),
    )


def tom(rng: np.random.Generator, low_hz: float, t60: float) -> Body:
    """Draw a two-headed drum without wires."""
    modes = _membrane(rng, low_hz, count=9, t60=t60 * rng.uniform(0.85, 1.2), t60_slope=0.75, db_slope=-6.5)
    stick = Noise(db=bump(low_hz * 14.0, 1.5, -20.0, -46.0), t60=((100, 0.035), (18000, 0.016)))
    noises = (stick, _shell(-16.0, low_hz * 2.0, t60 * 0.8))
    return Body(
        modes, noises, length_s=min(1.2, t60 * 1.2), glide=rng.uniform(0.16, 0.26), glide_s=rng.uniform(0.03, 0.05),
        dulling_db=4.0, wander_db=1.2, soft_contact_s=0.0006,
    )  # fmt: skip


def cowbell(rng: np.random.Generator) -> Body:
    """Draw a steel box: two strong partials about a fifth apart, and a rattle of higher ones."""
    hz = rng.uniform(530.0, 600.0) * np.array([1.0, 1.49, 2.53, 3.37, 4.66, 6.1])
    modes = Modes(
        hz=hz,
        t60=np.array([0.5, 0.45, 0.28, 0.22, 0.15, 0.1]),
        db=np.array([0.0, 2.0, -7.0, -9.0, -12.0, -16.0]),
    )
    tick = Noise(db=bump(3000.0, 1.5, -16.0, -40.0), t60=((100, 0.015), (18000, 0.01)))
    return Body(modes, (tick,), length_s=0.5, dulling_db=2.5, wander_db=1.0)


def tambourine(rng: np.random.Generator) -> Body:
    """Draw a tambourine, pairs of small discs that clatter: narrow high partials, hardly any low end."""
    hz = np.sort(rng.uniform(3600.0, 13000.0, 60))
    modes = Modes(hz=hz, t60=rng.uniform(0.12, 0.35, 60), db=rng.normal(-17.0, 4.0, 60))
    jingle = Noise(
        db=((100, -60), (2500, -26), (5000, -7), (9000, -3), (18000, -14)), t60=((100, 0.1), (18000, 0.26)),
        rise_s=0.006, flutter_hz=55.0,
    )  # fmt: skip
    palm = Noise(db=bump(480.0, 1.0, -3.0, -40.0), t60=((100, 0.08), (18000, 0.03)))
    return Body(modes, (jingle, palm), length_s=0.45, dulling_db=1.5, wander_db=2.5, soft_contact_s=0.004)


def _membrane(
    rng: np.random.Generator, low_hz: float, *, count: int, t60: float, t60_slope: float, db_slope: float
) -> Modes:
    ratio = _MEMBRANE[:count] * (1.0 + rng.normal(0.0, 0.012, count))
    ratio[0] = 1.0
    octaves = np.log2(ratio)
    wobble = rng.normal(0.0, 1.2, count)
    wobble[0] = 0.0
    return Modes(hz=low_hz * ratio, t60=t60 * 2.0 ** (-t60_slope * octaves), db=db_slope * octaves + wobble)


def buzzing(body: Body) -> Body:
    """Return a drum that stands beside a snare drum: its blow makes the snare's wires rattle faintly."""
    rattle = Noise(
        db=((100, -70), (700, -44), (1800, -31), (4500, -29), (9000, -36), (18000, -60)),
        t60=((100, 0.2), (3000, 0.3), (18000, 0.2)),
        rise_s=0.012,
        delay_s=0.002,
    )
    return replace(body, noises=(*body.noises, rattle))


def _shell(db: float, corner_hz: float, t60: float) -> Noise:
    """What shell, lugs and the weak modes add: a haze that is gone sooner the higher it is."""
    return Noise(
        db=(
            (100, db),
            (corner_hz, db),
            (corner_hz * 4.0, db - 12.0),
            (corner_hz * 16.0, db - 26.0),
            (18000, db - 50.0),
        ),
        t60=((100, t60), (corner_hz, t60), (corner_hz * 4.0, t60 * 0.5), (18000, t60 * 0.12)),
    )


def join(one: Modes, other: Modes) -> Modes:
    """Return two bodies' modes that ring together."""
    return Modes(
        hz=np.concatenate([one.hz, other.hz]),
        t60=np.concatenate([one.t60, other.t60]),
        db=np.concatenate([one.db, other.db]),
    )


def bump(centre_hz: float, octaves: float, peak_db: float, floor_db: float) -> Curve:
    """Return a spectrum with one hill: `peak_db` at the centre, `floor_db` from two and a half widths away."""
    half = peak_db - 8.0
    return (
        (centre_hz * 2.0 ** (-2.5 * octaves), floor_db), (centre_hz * 2.0 ** -octaves, half), (centre_hz, peak_db),
        (centre_hz * 2.0**octaves, half), (centre_hz * 2.0 ** (2.5 * octaves), floor_db),
    )  # fmt: skip
