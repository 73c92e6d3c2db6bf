"""Lines of a configuration as a diff may show them: of a line that holds several values, those that change alone.

A JSON file may be one line, and what stands beside the value that changes may be a secret; diffs go to terminals, logs
and the web UI.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence

LEFT_OUT = "…"

_PARTS = re.compile(r'"(?:[^"\\]|\\.)*"|[^"\s,;{}\[\]]+|.')
"""Of a line: texts in quotes, words, and every other character."""
_BETWEEN_VALUES = frozenset(",;{}[]")


def without_other_values(before: Sequence[str], after: Sequence[str]) -> tuple[list[str], list[str]]:
    """Two states of a file, line by line, without the values that stay in lines that change.

    Args:
        before: Its lines.
        after: Its lines when values in them are others; if their number is another, nothing is left out.
    """
    if len(before) != len(after):
        return list(before), list(after)
    pairs = [_of_line(*pair) for pair in zip(before, after, strict=True)]
    return [old for old, _ in pairs], [new for _, new in pairs]


def _of_line(before: str, after: str) -> tuple[str, str]:
    if before == after:
        return before, after
    old, new = _PARTS.findall(before), _PARTS.findall(after)
    blocks = difflib.SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
    return "".join(_shown(old, ((each.a, each.size) for each in blocks))), "".join(
        _shown(new, ((each.b, each.size) for each in blocks))
    )


def _shown(parts: Sequence[str], staying: Iterable[tuple[int, int]]) -> Iterator[str]:
    """The parts that change, and of each run that stays what belongs to the values beside it."""
    at = 0
    for start, count in staying:
        yield from parts[at:start]
        at = start + count
        yield from _ends(parts[start:at], begins_line=start == 0, ends_line=at == len(parts))


def _ends(run: Sequence[str], *, begins_line: bool, ends_line: bool) -> Iterator[str]:
    marks = [place for place, part in enumerate(run) if part in _BETWEEN_VALUES] or [len(run)]
    start, stop = 0 if begins_line else marks[0], len(run) if ends_line else marks[-1]
    if any(part.isalnum() or len(part) > 1 for part in run[start:stop]) and (ends_line or stop < len(run)):
        yield from [*run[:start], LEFT_OUT, *run[stop:]]
    else:
        yield from run
