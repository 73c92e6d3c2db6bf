"""Grooves and fills in several styles, as data.

One string per component and bar, one character per step: `X` accent, `x` stroke, `o` light stroke, `g` ghost note,
`f` flam, `b` bark (an open hat that the foot shuts at once), `.` nothing. Each bar asks for two hands and two feet at
most; a test holds that.
"""

from collections.abc import Mapping
from dataclasses import dataclass

Bar = Mapping[str, str]

FEET = frozenset({"kick", "hihat_pedal", "hihat_foot_splash"})
HATS = frozenset({"hihat_closed", "hihat_open", "hihat_pedal", "hihat_foot_splash"})
LEADING_HAND = frozenset(
    {"hihat_closed", "hihat_open", "ride_bow", "ride_bell", "crash", "crash2", "splash", "china", "aux_percussion"}
)
"""Played by the hand that moves to a cymbal on a section's first beat."""


@dataclass(frozen=True, slots=True)
class Groove:
    """A repeated pattern.

    Attributes:
        name: Style.
        meter: Time signature.
        steps_per_beat: Characters per beat of the meter's lower number.
        bars: Bars, played in turn.
        swing: Delay of every second step as a share of a step.
    """

    name: str
    meter: str
    steps_per_beat: int
    bars: tuple[Bar, ...]
    swing: float = 0.0

    @property
    def beats(self) -> int:
        """Beats of a bar."""
        return int(self.meter.split("/")[0])

    @property
    def steps(self) -> int:
        """Steps of a bar."""
        return self.beats * self.steps_per_beat

    @property
    def quarters(self) -> float:
        """Length of a bar in quarter notes, which the tempo counts."""
        return self.beats * 4.0 / int(self.meter.split("/")[1])


GROOVES: tuple[Groove, ...] = (
    Groove("rock", "4/4", 4, (
        {"hihat_closed": "X.o.x.o.X.o.x...", "hihat_open": "..............x.",
         "kick":         "X.....x.X.......", "snare":      "....X.......X..."},
        {"hihat_closed": "..o.x.o.X...x.o.", "hihat_open": "..........x.....",
         "crash":        "X...............",
         "kick":         "X.....x.........", "snare":      "....X.......X..."},
    )),
    Groove("disco", "4/4", 4, (
        {"hihat_open":     "..x...x...x...x.", "kick":  "X...X...X...X...",
         "aux_percussion": "....x.......x...", "snare": "....X.......X..."},
        {"hihat_open":     "......x...x...x.", "kick":  "X...X...X...X...",
         "aux_percussion": "....x.......x...", "snare": "....X.......X...",
         "crash2":         "X..............."},
    )),
    Groove("funk", "4/4", 4, (
        {"hihat_closed": "x.x.x.x.x.x.x...", "hihat_open": "..............b.",
         "rimshot":      "....X.......X...", "kick":       "X.....x...x....."},
        {"hihat_closed": "x.x.x...x.x.....", "splash":     "......x.......x.",
         "rimshot":      "....X.......X...", "snare":      ".g.....g.g.....g",
         "kick":         "X.....x...x....."},
    )),
    Groove("bossa", "4/4", 4, (
        {"ride_bow":     "x...x.o.x...x.o.", "cross_stick": "x.....x.....x...",
         "hihat_pedal":  "....x.......x...", "kick":        "x.......x......."},
        {"ride_bow":     "x.o.x...x.o.x...", "cross_stick": "....x.....x...x.",
         "hihat_pedal":  "....x.......x...", "kick":        "x.....o.x......."},
    )),
    Groove("swing", "4/4", 3, (
        {"ride_bow":     "x..x.ox..x.o", "hihat_pedal": "...x.....x..",
         "snare":        ".....o......", "tom_high":    "........x...",
         "kick":         "o..........."},
        {"ride_bow":     "x..x.....x.o", "ride_bell":   "......x.....",
         "hihat_pedal":  "...x.....x..", "cross_stick": "...x.....x..",
         "tom_mid":      "..x.....x...", "kick":        "o..........."},
    )),
    Groove("cascara", "4/4", 4, (
        {"ride_bell":         "X...x...X.o.....", "cross_stick": "......x.......x.",
         "hihat_foot_splash": "....x...x...x...", "tom_high":    "............x...",
         "kick":              "x.....x........."},
        {"ride_bell":         "X.o.x...X...x...", "tom_high":    "......x.......x.",
         "hihat_foot_splash": "....x.......x...", "tom_mid":     "..........x.....",
         "kick":              "x.............x."},
    )),
    Groove("afrobeat", "4/4", 4, (
        {"aux_percussion":    "X.x...x.X.x.....", "rimshot": "....x.....x.....",
         "hihat_foot_splash": "....x...x...x...", "tom_mid": "............x.x.",
         "kick":              "X.......x......."},
        {"aux_percussion":    "X.x...x.X.......", "rimshot": "....x.......x...",
         "hihat_foot_splash": "....x.......x...", "tom_low": "..............x.",
         "kick":              "X.........x....."},
    )),
    Groove("half-time", "4/4", 4, (
        {"china":             "X...x...X...x...", "rimshot": "........X.......",
         "kick":              "X.....x.....x..."},
        {"crash2":            "X...x...X...x...", "snare":   "........f.......",
         "hihat_foot_splash": "....x.......x...", "kick":    "X.....x........."},
    )),
    Groove("tribal", "4/4", 4, (
        {"tom_low":     "....x.......x...", "tom_mid":  "......x...x.....",
         "china":       "X...............",
         "tom_high":    "........X.....x.", "kick":     "X.......X.......",
         "hihat_pedal": "....x.......x..."},
        {"tom_low":     "....x.......x...", "tom_mid":  "......x...x.....",
         "tom_high":    "........X.....f.", "splash":   "X...............",
         "kick":        "X.......X.......", "hihat_pedal": "....x.......x..."},
    )),
    Groove("seven", "7/8", 2, (
        {"hihat_closed": "x.x.x...x.x...", "hihat_open": "......x.....x.",
         "kick":         "X...x.........", "snare":      "........X....."},
        {"china":        "X.......x.....", "splash":     "....x.......x.",
         "kick":         "X...x.........", "rimshot":    "........X....."},
    )),
    Groove("reggae", "4/4", 4, (
        {"splash":      "x.......x.......", "hihat_closed":   "....x.x.....x...",
         "hihat_open":  "..............x.", "aux_percussion": "............o...",
         "cross_stick": "........X.......", "kick":           "........X......."},
        {"hihat_closed": "x...x.......x...", "hihat_open": "......x.......x.",
         "cross_stick":  "........X.....x.", "splash":     "........x.......",
         "kick":         "........X......."},
    )),
    Groove("stop-time", "4/4", 4, (
        {"crash":    "X.........x.....", "crash2": "......X.........", "splash":  "............x...",
         "china":    "........X.......", "kick":   "X.....X.X.......", "tom_high": "..............x."},
        {"crash2":   "X...............", "splash": "......X.........", "crash":   "..........X.....",
         "china":    "............X...", "kick":   "X.....X...X.....", "snare":   "...f............",
         "tom_low":  "..............x."},
    )),
    Groove("breakdown", "4/4", 4, (
        {"china":    "X.....X.........", "splash": "............x.x.", "rimshot": "........X.......",
         "crash2":   "..........X.....", "kick":   "X.....X...X....."},
        {"crash":    "X.......x.......", "splash": "....x...........", "china":   "............X...",
         "tom_low":  "......x.......x.", "tom_high": "..........x.....",
         "rimshot":  "........X.......", "kick":     "X..............."},
    )),
    Groove("punk", "4/4", 4, (
        {"crash":  "X...x...X...x...", "kick": "X.....x.........", "snare": "....X.......X..."},
        {"crash2": "X...x...X...x...", "kick": "X.....x...x.....", "snare": "....X.......X..."},
    )),
    Groove("ride rock", "4/4", 4, (
        {"ride_bow":    "X...x...X...x...", "ride_bell": "..x.......x...x.",
         "snare":       "....X.......X...", "kick":      "X.....x.X.......",
         "hihat_pedal": "....o.......o..."},
    )),
    Groove("waltz", "3/4", 4, (
        {"ride_bow":    "x...x.o.x...", "hihat_foot_splash": "....x...x...",
         "cross_stick": "........x...", "kick":        "x..........."},
        {"hihat_closed": "x...x.o.x...", "hihat_open": "..........x.",
         "rimshot":      "........x...", "kick":       "x.....x....."},
    )),
)  # fmt: skip
"""Every style once; a session strings several together."""

FILLS: tuple[Bar, ...] = (
    {"tom_high": "x.x.....", "tom_mid": "....x...", "tom_low": "......x."},
    {"snare": "x.x.....", "tom_high": "....x...", "tom_low": "......x."},
    {"snare": "f.......", "tom_mid": "..x.x...", "tom_low": "......x."},
    {"tom_high": "f.......", "tom_mid": "..f.....", "tom_low": "....f...", "kick": "......X."},
    {"rimshot": "X.......", "splash": "..x.....", "kick": "..x.....", "tom_low": "....x.x."},
    {"snare": "x.xx....", "tom_mid": "....xx..", "tom_low": "......x.", "kick": "......x."},
)
"""Half a bar of four sixteenths a beat, in place of a section's last two beats."""
