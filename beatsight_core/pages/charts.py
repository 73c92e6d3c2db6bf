"""The geometry of what reports draw: pure numbers in, coordinates out. Templates turn these into SVG and CSS.

Conventions: SVG paths are in a box of 0..100 by 0..100 with y downwards, stretched by the browser to its place; text is
never inside them, so that it keeps its size on a phone. A share is 0..1.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SPLIT_PARTS = (
    {"key": "train", "title": "train", "tone": "tone-1"},
    {"key": "val", "title": "validation", "tone": "tone-2"},
    {"key": "calibration", "title": "calibration", "tone": "tone-3"},
)
"""The parts of a bar split by train, val and calibration, in the tones that they have on every page."""

BUCKET_PARTS = (
    {"key": "ghost", "title": "ghost", "tone": "step-1"},
    {"key": "light", "title": "light", "tone": "step-2"},
    {"key": "medium", "title": "medium", "tone": "step-3"},
    {"key": "accent", "title": "accent", "tone": "step-4"},
    {"key": "unknown", "title": "not given", "tone": "tone-none"},
)
"""The parts of a bar split by dynamic bucket: an ordered ramp."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a plot: its SVG path and its last point."""

    title: str
    tone: str
    path: str
    last: float | None


@dataclass(frozen=True, slots=True)
class Plot:
    """Lines over common axes. Ticks are (position in 0..100 along the axis, value)."""

    curves: tuple[Curve, ...]
    x_ticks: tuple[tuple[float, float], ...]
    y_ticks: tuple[tuple[float, float], ...]


def ratio(part: float | None, whole: float | None) -> float:
    """Return `part / whole` held within 0..1; 0 where there is no whole."""
    if not part or not whole or not math.isfinite(part) or not math.isfinite(whole) or whole <= 0:
        return 0.0
    return min(max(part / whole, 0.0), 1.0)


def largest(values: Iterable[float | None]) -> float:
    """Return the largest finite value, or 0."""
    return max((value for value in values if value is not None and math.isfinite(value)), default=0.0)


def reach(value: float | None, limit: float | None, margin: float | None) -> float | None:
    """Return how far a value is on the good (+) or bad (-) side of its limit: margin / (|value| + |limit|), in -1..1.

    The limit is always the middle of what is drawn, so that counts of 40 and of 400,000 can stand in one column.

    Args:
        value: Value that was measured.
        limit: Limit that it is compared with.
        margin: Distance to the limit, positive where it is met.

    Returns:
        None where nothing was measured.
    """
    if value is None or limit is None or margin is None or not math.isfinite(margin):
        return None
    whole = abs(value) + abs(limit)
    return 0.0 if whole == 0 else min(max(margin / whole, -1.0), 1.0)


def percent(share: float, digits: int = 2) -> str:
    """Return a share as a CSS length; numbers only, whatever comes in."""
    return f"{100.0 * float(share):.{digits}f}%"


def split_shares(values: Mapping[str, float], keys: Sequence[str]) -> list[tuple[str, float]]:
    """Return the share of each key in the sum over `keys`; without the empty ones."""
    whole = sum(values.get(key) or 0 for key in keys)
    return [(key, ratio(values.get(key), whole)) for key in keys if values.get(key)]


def spread(count: int, at_most: int = 6) -> list[int]:
    """Return indices 0..count, evenly spaced, at most `at_most` of them: which bin edges to label."""
    if count <= 0:
        return [0]
    step = max(1, math.ceil(count / max(at_most - 1, 1)))
    return list(range(0, count + 1, step))


def nice_ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Return round values (1, 2, 2.5, 5 times a power of ten) that cover low..high."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low if math.isfinite(low) else 0.0]
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((factor * power for factor in (1, 2, 2.5, 5) if factor * power >= rough * 0.999), 10 * power)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def plot(series: Sequence[Mapping[str, Any]], *, y_low: float | None = None, y_high: float | None = None) -> Plot:
    """Lay out lines in one box.

    Args:
        series: Each with `title`, `points` (pairs x, y; a y that is None or not finite breaks the line), `tone` if one
            is wanted.
        y_low: The axis starts here rather than at the least y.
        y_high: The axis ends here rather than at the greatest y.
    """
    points = [point for line in series for point in line["points"] if _drawable(point)]
    if not points:
        return Plot((), (), ())
    xs, ys = [float(x) for x, _ in points], [float(y) for _, y in points]
    x_range = _widened(min(xs), max(xs))
    y_range = _widened(min(ys) if y_low is None else y_low, max(ys) if y_high is None else y_high)
    curves = [
        Curve(line["title"], line.get("tone", f"tone-{position % 6 + 1}"), _path(line["points"], x_range, y_range),
              next((float(y) for x, y in reversed(line["points"]) if _drawable((x, y))), None))
        for position, line in enumerate(series)
    ]  # fmt: skip
    return Plot(
        tuple(curves),
        tuple((100 * _place(tick, x_range), tick) for tick in nice_ticks(*x_range)),
        tuple((100 * _place(tick, y_range), tick) for tick in nice_ticks(*y_range)),
    )


def _drawable(point: Sequence[float | None]) -> bool:
    return all(value is not None and math.isfinite(value) for value in point)


def _widened(low: float, high: float) -> tuple[float, float]:
    """A span that can be divided by, around a single value too."""
    room = max(abs(low), 1.0) / 2
    return (low, high) if high > low else (low - room, low + room)


def _place(value: float, span: tuple[float, float]) -> float:
    return (value - span[0]) / (span[1] - span[0])


def _path(points: Sequence[Sequence[float]], x_range: tuple[float, float], y_range: tuple[float, float]) -> str:
    parts, pen = [], "M"
    for x, y in points:
        if not _drawable((x, y)):
            pen = "M"
            continue
        height = min(max(_place(float(y), y_range), 0.0), 1.0)
        parts.append(f"{pen}{100 * _place(float(x), x_range):.2f} {100 - 100 * height:.2f}")
        pen = "L"
    return "".join(parts)
