"""From strokes to a recording: each at its time and position in the stereo field, the room, the band, the master."""

from collections.abc import Sequence

import numpy as np

from beatsight_core.demo.accompaniment import accompany
from beatsight_core.demo.performance import Stroke
from beatsight_core.demo.planning import SessionPlan
from beatsight_core.synthesis.kit import TAKES, Kit
from beatsight_core.synthesis.room import convolve, echoes
from beatsight_core.synthesis.synth import Signal, gain
from beatsight_core.taxonomy import CORE
from beatsight_core.units import seconds_to_samples

_MASTER = 0.2
_HISS_DBFS = -80.0
_FADER_DB = 1.2
_TILT = (-0.15, 0.25)
_HAT_CHOKE_S, _HAND_CHOKE_S = 0.006, 0.03


def place(stroke: Stroke, rate_hz: int) -> int:
    """Return the sample that a stroke begins at."""
    return seconds_to_samples(stroke.time_s, rate_hz)


def session_samples(plan: SessionPlan, strokes: Sequence[Stroke]) -> int:
    """Return the length of a session in samples."""
    return place(strokes[-1], plan.source.rate_hz) + int(plan.tail_s * plan.source.rate_hz)


def mix(plan: SessionPlan, strokes: Sequence[Stroke], kit: Kit) -> Signal:
    """Render a session.

    Args:
        plan: The session.
        strokes: Strokes of the session, in order of time.
        kit: Kit of the plan; passed so that sessions of one process share its sounds.

    Returns:
        Samples (channels, n) within -1..1.
    """
    rng = np.random.default_rng([*plan.seed, 1])
    n = session_samples(plan, strokes)
    rate, channels = plan.source.rate_hz, plan.source.channels
    faders = {component: float(gain(rng.normal(0.0, _FADER_DB))) for component in CORE.components}
    dry = np.zeros((channels, n), dtype=np.float32)
    for stroke in strokes:
        sound = kit.stroke(stroke.component, stroke.variant, stroke.velocity, int(rng.integers(TAKES)))
        _add_stroke(dry, stroke, sound * np.float32(faders[stroke.component]), kit.pan(stroke.component), rate)
    middle = dry.mean(axis=0)
    out = np.stack([dry[channel] + convolve(middle, echoes(plan.room, channel, rate)) for channel in range(channels)])
    if plan.band_db is not None:
        level = np.float32(gain(plan.band_db) * np.sqrt(np.mean(middle**2)))
        out += level * accompany(plan.sections, n, rate, rng, plan.lead_in_s)
    hiss = rng.standard_normal((channels, n), dtype=np.float32) * np.float32(gain(_HISS_DBFS))
    return np.asarray(np.tanh(_tilted(out, rng) * np.float32(_MASTER)) + hiss, dtype=np.float32)


def _tilted(sound: Signal, rng: np.random.Generator) -> Signal:
    """Another microphone, brighter or darker: y[n] = (1 + b) x[n] - b x[n - 1], which delays nothing."""
    b = np.float32(rng.uniform(*_TILT))
    out = (1 + b) * sound
    out[:, 1:] -= b * sound[:, :-1]
    return np.asarray(out, dtype=np.float32)


def _add_stroke(dry: Signal, stroke: Stroke, sound: Signal, pan: float, rate: int) -> None:
    start = place(stroke, rate)
    sound = sound[: dry.shape[1] - start]
    if stroke.choke_s is not None:
        choke(sound, int((stroke.choke_s - stroke.time_s) * rate), (_HAT_CHOKE_S, _HAND_CHOKE_S)[stroke.by_hand] * rate)
    for channel, side in zip(dry, _pan(pan, dry.shape[0]), strict=True):
        channel[start : start + sound.size] += sound * np.float32(side)


def choke(sound: Signal, start: int, samples: float) -> None:
    """Let a sound die from `start` on, with that time constant; it is silent after eight of them."""
    tail = sound[start:]
    dying = min(tail.size, int(8 * samples))
    tail[:dying] *= np.exp(-np.arange(dying, dtype=np.float32) / np.float32(samples))
    tail[dying:] = 0.0


def _pan(pan: float, channels: int) -> tuple[float, ...]:
    """Amplitude per channel: constant power, no delay between channels, so that the onset is the same in both."""
    if channels == 1:
        return (1.0,)
    angle = (pan + 1.0) * np.pi / 4.0
    return (float(np.sqrt(2.0) * np.cos(angle)), float(np.sqrt(2.0) * np.sin(angle)))
