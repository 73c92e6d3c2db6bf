"""The strokes of a session with a drummer's timing and touch: fills, flams, barks and chokes.

Times are seconds from the start of the file. Strokes meant together lie a few milliseconds apart, as hands and feet do.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from beatsight_core.demo.grooves import FEET, FILLS, HATS, LEADING_HAND, Bar, Groove

_VELOCITY = {
    "X": (0.84, 1.0),
    "x": (0.62, 0.8),
    "o": (0.42, 0.56),
    "g": (0.2, 0.26),
    "f": (0.78, 0.95),
    "b": (0.7, 0.9),
}
_OWN_LIMIT_S = 0.004
_GRACE_S = (0.010, 0.016)
"""With a foot's lead of 3 ms at most, all strokes of a step lie within 27 ms: one hit under the 30 ms window."""

_CHOKES_HATS = frozenset({"hihat_closed", "hihat_pedal", "hihat_foot_splash"})


@dataclass(frozen=True, slots=True)
class Drummer:
    """The habits of a player.

    Attributes:
        drummer_id: Id of the player in events.
        looseness_s: Standard deviation of a step's timing.
        foot_lead_s: Time by which the feet are earlier than the hands.
        lag_s: Time by which the player sits behind the beat.
        touch: Factor on velocities.
        wildness: Standard deviation of velocities.
    """

    drummer_id: str
    looseness_s: float
    foot_lead_s: float
    lag_s: float
    touch: float
    wildness: float


@dataclass(frozen=True, slots=True)
class Section:
    """Some bars of one groove.

    Attributes:
        groove: Groove that is repeated.
        bars: Number of bars.
        tempo_bpm: Quarter notes per minute.
        cymbal: Cymbal played with the first kick, if any.
        fill: Index into `FILLS` for the last two beats, if any.
        techniques: Techniques of all its events.
    """

    groove: Groove
    bars: int
    tempo_bpm: float
    cymbal: str | None = None
    fill: int | None = None
    techniques: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stroke:
    """One blow.

    Attributes:
        time_s: Moment of contact.
        component: Canonical label.
        velocity: Strength of the stroke, 0..1.
        variant: Index of the body, of several of that component: openness step, second china, second floor tom.
        openness: Openness of hats, 0 shut to 1 wide open.
        choke_s: Time at which its ringing is stopped, if it is.
        by_hand: True if the choke is a hand on a cymbal, slower than a hat that shuts.
        techniques: Techniques of the event.
        bar: Bar within the session, from 0.
        beat: Beat within the bar, from 0, with a fraction.
        tempo_bpm: Quarter notes per minute.
        meter: Time signature.
        groove: Style.
    """

    time_s: float
    component: str
    velocity: float
    variant: int = 0
    openness: float | None = None
    choke_s: float | None = None
    by_hand: bool = False
    techniques: tuple[str, ...] = ()
    bar: int = 0
    beat: float = 0.0
    tempo_bpm: float = 120.0
    meter: str = "4/4"
    groove: str = ""


class _Step(NamedTuple):
    """Everything played on one step: (component, symbol) pairs."""

    place: int
    notes: tuple[tuple[str, str], ...]


def perform(
    sections: tuple[Section, ...], drummer: Drummer, rng: np.random.Generator, lead_in_s: float
) -> tuple[Stroke, ...]:
    """Play sections one after the other and end on a crash.

    Args:
        sections: Sections to play.
        drummer: Drummer who plays them.
        rng: Source of everything that is not written down.
        lead_in_s: Silence before the first beat.

    Returns:
        Strokes in order of time.
    """
    strokes: list[Stroke] = []
    start_s, bar_number = lead_in_s, 0
    for section in sections:
        for bar in range(section.bars):
            strokes += _play_bar(section, bar, bar_number, start_s, drummer, rng)
            start_s += section.groove.quarters * 60.0 / section.tempo_bpm
            bar_number += 1
    last = sections[-1]
    ending = _Step(0, (("crash", "X"), ("kick", "X")))
    strokes += _play_step(ending, last, bar_number, start_s, drummer, rng)
    in_time = sorted(strokes, key=lambda stroke: (stroke.time_s, stroke.component))
    return tuple(_choke_hats([replace(s, time_s=max(s.time_s, 0.0)) for s in in_time]))


def _play_bar(
    section: Section, bar: int, bar_number: int, start_s: float, drummer: Drummer, rng: np.random.Generator
) -> Iterator[Stroke]:
    groove = section.groove
    pattern = _pattern(section, bar)
    step_s = groove.quarters * 60.0 / section.tempo_bpm / groove.steps
    for step in _steps(pattern, groove.steps):
        swing = groove.swing * step_s if step.place % 2 else 0.0
        yield from _play_step(step, section, bar_number, start_s + step.place * step_s + swing, drummer, rng)


def _pattern(section: Section, bar: int) -> Bar:
    """The written bar, with the section's cymbal on its first beat and its fill at its end."""
    pattern: dict[str, str] = dict(section.groove.bars[bar % len(section.groove.bars)])
    if bar == 0 and section.cymbal:
        for component in LEADING_HAND & pattern.keys():
            pattern[component] = "." + pattern[component][1:]
        for component in (section.cymbal, "kick"):
            pattern[component] = "X" + pattern.get(component, "." * section.groove.steps)[1:]
    if bar == section.bars - 1 and section.fill is not None:
        return _with_fill(pattern, FILLS[section.fill], section.groove.steps)
    return pattern


def _with_fill(pattern: Bar, fill: Bar, steps: int) -> Bar:
    length = len(next(iter(fill.values())))
    filled = {component: line[: steps - length] + "." * length for component, line in pattern.items()}
    for component, line in fill.items():
        filled[component] = filled.get(component, "." * steps)[: steps - length] + line
    return filled


def _steps(pattern: Bar, steps: int) -> Iterator[_Step]:
    for index in range(steps):
        notes = tuple((component, line[index]) for component, line in pattern.items() if line[index] != ".")
        if notes:
            yield _Step(index, notes)


def _play_step(
    step: _Step, section: Section, bar_number: int, time_s: float, drummer: Drummer, rng: np.random.Generator
) -> Iterator[Stroke]:
    common_s = time_s + drummer.lag_s + float(np.clip(rng.normal(0.0, drummer.looseness_s), -0.012, 0.012))
    for component, symbol in step.notes:
        own_s = float(np.clip(rng.normal(0.0, 0.0022), -_OWN_LIMIT_S, _OWN_LIMIT_S))
        foot_s = drummer.foot_lead_s if component in FEET else 0.0
        stroke = Stroke(
            time_s=common_s + own_s - foot_s,
            component=component,
            velocity=_velocity(symbol, drummer, rng),
            techniques=section.techniques,
            bar=bar_number,
            beat=round(step.place / section.groove.steps_per_beat, 3),
            tempo_bpm=section.tempo_bpm,
            meter=section.groove.meter,
            groove=section.groove.name,
        )
        yield from _articulated(stroke, symbol, rng)


def _velocity(symbol: str, drummer: Drummer, rng: np.random.Generator) -> float:
    low, high = _VELOCITY[symbol]
    wanted = rng.uniform(low, high) * drummer.touch + rng.normal(0.0, drummer.wildness)
    return round(float(np.clip(wanted, 0.16, 1.0)), 3)


def _articulated(stroke: Stroke, symbol: str, rng: np.random.Generator) -> Iterator[Stroke]:
    """The stroke with what its symbol and its component add: grace note, bark, openness, second cymbal."""
    if symbol == "f":
        yield replace(
            stroke, time_s=stroke.time_s - rng.uniform(*_GRACE_S), velocity=round(0.5 * stroke.velocity, 3),
            techniques=(*stroke.techniques, "flam"),
        )  # fmt: skip
        yield replace(stroke, techniques=(*stroke.techniques, "flam"))
    elif symbol == "b":
        shut = replace(stroke, time_s=stroke.time_s + rng.uniform(0.15, 0.19), component="hihat_pedal", openness=0.0)
        yield replace(_opened(stroke, rng), techniques=(*stroke.techniques, "hihat_bark"))
        yield replace(shut, velocity=round(0.85 * stroke.velocity, 3))
    elif stroke.component in HATS:
        yield _opened(stroke, rng)
    else:
        yield _varied(stroke, rng)


def _opened(stroke: Stroke, rng: np.random.Generator) -> Stroke:
    if stroke.component == "hihat_open":
        openness = float(rng.uniform(0.35, 1.0))
        return replace(stroke, openness=round(openness, 3), variant=int(openness > 0.55) + int(openness > 0.85))
    widest = {"hihat_closed": 0.08, "hihat_pedal": 0.0, "hihat_foot_splash": 0.6}[stroke.component]
    return replace(stroke, openness=round(float(rng.uniform(0.5, 1.0)) * widest, 3))


def _varied(stroke: Stroke, rng: np.random.Generator) -> Stroke:
    if stroke.component == "china" and rng.random() < 0.3:
        return replace(stroke, variant=1, techniques=(*stroke.techniques, "multi_cymbal_same_class"))
    if stroke.component == "tom_low" and rng.random() < 0.25:
        return replace(stroke, variant=1)
    if stroke.component in ("crash", "crash2") and rng.random() < 0.08:
        choke_s = stroke.time_s + rng.uniform(0.3, 0.5)
        return replace(stroke, choke_s=choke_s, by_hand=True, techniques=(*stroke.techniques, "choke"))
    return stroke


def _choke_hats(strokes: list[Stroke]) -> Iterator[Stroke]:
    """Stop each ringing hat where the next hat stroke shuts the pair."""
    next_shut: float | None = None
    for position in range(len(strokes) - 1, -1, -1):
        stroke = strokes[position]
        if stroke.component in HATS:
            strokes[position] = replace(stroke, choke_s=next_shut)
            next_shut = stroke.time_s if stroke.component in _CHOKES_HATS else next_shut
    return iter(strokes)
