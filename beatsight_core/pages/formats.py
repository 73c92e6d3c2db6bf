"""Figures as people read them: counts, shares, durations, sizes. One way of writing each, for every report.

A value that is None, or not a finite number, is shown as a dash: nothing was measured.
"""

import math
from collections.abc import Callable
from typing import Any

DASH = "–"

_DURATIONS = ((86400.0, "d", 3600.0, "h"), (3600.0, "h", 60.0, "min"), (60.0, "min", 1.0, "s"))
_SIZES = ("bytes", "kB", "MB", "GB", "TB", "PB")


def count(value: float) -> str:
    """A whole number with thousands separators: 3,010,770."""
    return _minus(f"{value:,.0f}")


def share(value: float) -> str:
    """A fraction in per cent, with digits enough to tell it from nothing and from everything.

    0.25 is "25.0 %", 0.00042 is "0.042 %"; only 0 is "0 %" and only 1 is "100 %".
    """
    percent = 100.0 * value
    size = abs(percent)
    if size in {0.0, 100.0}:
        return _minus(f"{percent:.0f} %")
    if 99.9 < size < 100:
        return "> 99.9 %" if percent > 0 else "< −99.9 %"
    if size >= 10:
        return _minus(f"{percent:,.1f} %")
    return _minus(f"{percent:.2f} %" if size >= 0.1 else f"{percent:.2g} %")


def decimal(value: float) -> str:
    """A number to three decimals, as metrics are given: 0.931."""
    return _minus(f"{value:,.3f}")


def number(value: float) -> str:
    """A number of any kind: whole ones with separators, others to four significant digits."""
    if float(value).is_integer() and abs(value) < 1e15:
        return count(value)
    return _minus(f"{value:,.4g}" if 1e-4 <= abs(value) < 1e6 else f"{value:.3g}")


def signed(value: float) -> str:
    """`number` with its sign always shown: +12."""
    return f"+{number(value)}" if value > 0 else number(value)


def tenths(value: float) -> str:
    """One decimal with its sign always shown, for points and milliseconds: +8.3."""
    written = _minus(f"{value:,.1f}")
    return f"+{written}" if value > 0 and written != "0.0" else written


def change(value: float) -> str:
    """`decimal` with its sign always shown: +0.012."""
    written = decimal(value)
    return f"+{written}" if value > 0 else written


def duration(seconds: float) -> str:
    """A time in its two largest units: 3 h 25 min, 4 min 5 s, 12.5 s, 280 ms."""
    for unit_s, unit, lesser_s, lesser in _DURATIONS:
        if abs(seconds) >= unit_s:
            lesser_count = round(seconds / lesser_s)
            whole, rest = divmod(lesser_count, round(unit_s / lesser_s))
            return f"{whole:,} {unit}" + (f" {rest} {lesser}" if rest else "")
    if seconds == 0 or abs(seconds) >= 1:
        return _minus(f"{seconds:.3g} s")
    return _minus(f"{seconds * 1000:.3g} ms")


def milliseconds(value: float) -> str:
    """A time in milliseconds, three decimals at most: 12.5 ms."""
    return _minus(f"{value:,.3f}".rstrip("0").rstrip(".") + " ms")


def megabytes(value: float) -> str:
    """An amount in millions of bytes, one decimal: 12.5 MB."""
    return _minus(f"{value:,.1f} MB")


def bits(value: float) -> str:
    """An amount of information in bits: 0.05 bits."""
    return f"{number(value)} bits"


def size(value: float) -> str:
    """Bytes in decimal units, as drives are sold: 692 MB."""
    amount, unit = float(value), _SIZES[0]
    for larger in _SIZES[1:]:
        if abs(amount) < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:,.0f} {unit}" if unit == "bytes" or amount >= 100 else f"{amount:.3g} {unit}"


def decibels(value: float) -> str:
    """A level in decibels to one decimal."""
    return _minus(f"{value:.1f} dB")


def text(value: Any) -> str:
    """Anything as it is; several things separated by commas; a truth value as yes or no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(str(item) for item in value) or DASH
    return str(value)


FORMATS: dict[str, Callable[[Any], str]] = {
    "count": count, "share": share, "decimal": decimal, "number": number, "signed": signed, "tenths": tenths,
    "change": change, "duration": duration,
    "size": size, "megabytes": megabytes, "milliseconds": milliseconds, "bits": bits, "decibels": decibels,
    "text": text,
}  # fmt: skip
"""Name in templates -> how it is written."""


def shown(value: Any, kind: str = "text") -> str:
    """A value as a report shows it.

    Args:
        value: A number, or anything for "text".
        kind: A name in `FORMATS`.
    """
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return DASH
    return FORMATS[kind](value)


def is_numeric(kind: str) -> bool:
    """Whether a column of this kind is set flush right."""
    return kind != "text" and kind in FORMATS


def _minus(written: str) -> str:
    """The typographic minus, and none before a zero."""
    is_zero = not any(digit in written for digit in "123456789")
    return written.lstrip("-") if is_zero else written.replace("-", "−")
