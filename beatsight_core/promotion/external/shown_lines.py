"""Lines of a configuration as a diff may show them: of a line that holds several values, those that change alone.

A JSON file may be one line, and what stands beside the value that changes may be a secret; diffs go to terminals, logs
and the web UI.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence

LEFT_OUT = "…"

MOST_COMPARED = 2000
"""Parts of a text in which those that stay are looked for; the time grows with the square."""

_PARTS = re.compile(r'"(?:[^"\\]|\\.)*"|[^"\s,;{}\[\]]+|.', re.DOTALL)
"""Of a text: texts in quotes, words, and every other character."""
_BETWEEN_VALUES = frozenset(",;{}[]")


def without_other_values(before: Sequence[str], after: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return two states of a file, line by line, without the values that stay in lines that change.

    Args:
        before: Lines of the file as it was.
        after: Lines of the file with the values changed.
    """
    if len(before) == len(after):
        pairs = [_of_text(*pair) for pair in zip(before, after, strict=True)]
        return [old for old, _ in pairs], [new for _, new in pairs]
    # A value of several lines became shorter or longer: all lines that change are one text.
    start, stop = _ends_alike(before, after)
    middles = ["\n".join(lines[start : len(lines) - stop]) for lines in (before, after)]
    old, new = ([] if not middle else middle.split("\n") for middle in _of_text(*middles))
    return [*before[:start], *old, *before[len(before) - stop :]], [*after[:start], *new, *after[len(after) - stop :]]


def _of_text(before: str, after: str) -> tuple[str, str]:
    if before == after:
        return before, after
    old, new = _PARTS.findall(before), _PARTS.findall(after)
    start, stop = _ends_alike(old, new)
    middles = old[start : len(old) - stop], new[start : len(new) - stop]
    blocks = [(0, 0, start)]
    if max(map(len, middles)) <= MOST_COMPARED:
        found = difflib.SequenceMatcher(None, *middles, autojunk=False).get_matching_blocks()
        blocks += [(start + block.a, start + block.b, block.size) for block in found[:-1]]
    else:  # what stays between two changes far apart is not looked for, and so not shown
        old, new = ([*parts[:start], LEFT_OUT, *parts[len(parts) - stop :]] for parts in (old, new))
    blocks.append((len(old) - stop, len(new) - stop, stop))
    return "".join(_shown(old, ((at, size) for at, _, size in blocks))), "".join(
        _shown(new, ((at, size) for _, at, size in blocks))
    )


def _ends_alike(before: Sequence[str], after: Sequence[str]) -> tuple[int, int]:
    """How many items two lists have in common at their beginning, and how many of the others at their end."""
    most = min(len(before), len(after))
    start = next((place for place in range(most) if before[place] != after[place]), most)
    most -= start
    stop = next((place for place in range(most) if before[-1 - place] != after[-1 - place]), most)
    return start, stop


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
