"""Which paths a data root cannot have: those that no text can name, and those that Dagster reads as patterns."""

import fnmatch
import glob
import unicodedata
from pathlib import Path

_NEVER = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories of controls, halves of surrogate pairs (bytes that are no UTF-8) and breaks of lines."""


def path_problem(path: Path) -> str | None:
    """Say why a folder of the platform cannot have a path, or None if it can.

    Args:
        path: Absolute.
    """
    if any(unicodedata.category(character) in _NEVER for character in str(path)):
        return "its path holds control characters, or bytes that are no UTF-8"
    return None


def pattern_problem(file: Path) -> str | None:
    """Say why a program that takes the path of a file for a pattern would not read that file, or not only that one.

    Args:
        file: Absolute; need not be there.
    """
    pattern = str(file)
    if not fnmatch.fnmatchcase(pattern, pattern):
        return "square brackets in a path are read as a pattern, which does not match the path itself"
    others = set(glob.glob(pattern)) - {pattern}  # noqa: PTH207 - the question is what exactly this finds
    return f"read as a pattern, the path matches {sorted(others)[0]}, too" if others else None
