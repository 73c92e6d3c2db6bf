"""Lines that differ from their neighbours in few places: what they share is read once.

The lines of a session mostly differ in id, onset and components. A line is cut at these three; what is left of it is
its frame. A frame is read once as JSON, with marks in the three places, and what was cut out of all lines of a block is
read as three JSON lists. This gives what reading each line would give, because the text of a value in JSON may be
replaced by that of any other value without a change to what is around it. Everything that this relies on is checked;
anything else is in doubt.
"""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from beatsight_core.manifest.parsing.fields import Codes, DoubtError
from beatsight_core.manifest.parsing.repeated_keys import count_keys, line_may_repeat, may_repeat, repeated_key

MOST_FRAMES = 0.25
"""New frames per line beyond which cutting does not pay."""

_MARK = "\1"
_MARK_TEXT = b"\\u0001"  # found in no line: cut lines hold neither escapes nor, if they are JSON, control characters


@dataclass(frozen=True, slots=True)
class CutLines:
    """The lines of a block.

    Attributes:
        ids: Event ids, as UTF-8.
        onsets: Values of `onset_time`.
        components: Values of `components`.
        frames: The number of each line's frame, shape (lines,).
        sizes: Bytes of each line with its line end, shape (lines,).
    """

    ids: list[bytes]
    onsets: list[Any]
    components: list[list[Any]]
    frames: Codes
    sizes: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Cut:
    """A field that is cut out: what stands before its varying part, what ends it, and what marks its place."""

    field: str
    start: bytes
    end: bytes
    mark: bytes


@dataclass(frozen=True, slots=True)
class _Frame:
    """What a line holds before, between and after its three varying parts, cuts included."""

    number: int
    parts: tuple[bytes, bytes, bytes, bytes]


class Frames:
    """The frames of a chunk.

    Attributes:
        fresh: What the frames hold that the last call of `cut` found, without the three fields.
        useful: Whether lines do share frames.
    """

    def __init__(self) -> None:
        self.fresh: list[dict[str, Any]] = []
        self.useful = True
        self._known: dict[tuple[bytes, ...], _Frame] = {}
        self._sizes: list[int] = []

    def cut(self, block: bytes) -> CutLines:
        """Cut the lines of a block.

        Args:
            block: At least one line; the last one ends with a line break, too. It holds no backslash.

        Raises:
            DoubtError: Some line cannot be cut, or is not JSON, or frames are too many.
        """
        self.fresh = []
        cuts = _cuts_of(block[: block.index(b"\n")])
        numbers, pieces = self._walk(block, cuts, limit=max(2, int(MOST_FRAMES * block.count(b"\n"))))
        by_field = {cut.field: column for cut, column in zip(cuts, pieces, strict=True)}
        ids = by_field["event_id"]
        _require_texts(ids)
        frames = np.array(numbers, np.int32)
        sizes = np.array(self._sizes, np.int64)[frames]
        for column in pieces:
            sizes += np.fromiter(map(len, column), np.int64, len(column))
        return CutLines(ids, _values(by_field["onset_time"]), _lists(by_field["components"]), frames, sizes)

    def drop_fresh(self) -> None:
        """Forget the frames that the last call of `cut` found."""
        for _ in self.fresh:
            self._known.popitem()
            self._sizes.pop()
        self.fresh = []

    def _walk(
        self, block: bytes, cuts: tuple[_Cut, ...], limit: int
    ) -> tuple[list[int], tuple[list[bytes], list[bytes], list[bytes]]]:
        """The frame's number and the three pieces of every line; a line is tried with the frame of the one before."""
        end_1, end_2, end_3 = (cut.end for cut in cuts)
        pieces: tuple[list[bytes], list[bytes], list[bytes]] = ([], [], [])
        add_1, add_2, add_3 = (column.append for column in pieces)
        numbers: list[int] = []
        find, begins_with = block.find, block.startswith
        place, size = 0, len(block)
        while place < size:
            frame = self._frame_of(block, place, cuts, limit)
            part_1, part_2, part_3, part_4 = frame.parts
            size_1, size_2, size_3, size_4 = map(len, frame.parts)
            while begins_with(part_1, place):
                begin_1 = place + size_1
                stop_1 = find(end_1, begin_1)
                begin_2 = stop_1 + size_2
                stop_2 = find(end_2, begin_2)
                begin_3 = stop_2 + size_3
                stop_3 = find(end_3, begin_3)
                if not (begins_with(part_2, stop_1) and begins_with(part_3, stop_2) and begins_with(part_4, stop_3)):
                    break
                numbers.append(frame.number)
                add_1(block[begin_1:stop_1])
                add_2(block[begin_2:stop_2])
                add_3(block[begin_3:stop_3])
                place = stop_3 + size_4
        return numbers, pieces

    def _frame_of(self, block: bytes, place: int, cuts: tuple[_Cut, ...], limit: int) -> _Frame:
        """The frame of the line at a place; that line can be walked with it."""
        parts, rest, end = [], block[place : block.index(b"\n", place) + 1], b""
        for cut in cuts:
            before, start, rest = rest.partition(cut.start)
            parts.append(end + before + start)
            _, end, rest = rest.partition(cut.end)
            if not end:
                raise DoubtError
        first, second, third = parts
        key = (first, second, third, end + rest)
        return self._known.get(key) or self._add(key, cuts, limit)

    def _add(self, parts: tuple[bytes, bytes, bytes, bytes], cuts: tuple[_Cut, ...], limit: int) -> _Frame:
        if len(self.fresh) >= limit:
            self.useful = False
            raise DoubtError
        marks = (*(cut.mark for cut in cuts), b"")
        text = b"".join(itertools.chain.from_iterable(zip(parts, marks, strict=True)))
        value = _loads(text)
        if line_may_repeat(text, count_keys([value])) and repeated_key(text) is not None:
            raise DoubtError
        if type(value) is not dict or [value.pop(field, None) for field in _ENDS] != [_MARK, _MARK, [_MARK]]:
            raise DoubtError
        frame = self._known[parts] = _Frame(len(self._sizes), parts)
        self._sizes.append(sum(map(len, parts)))
        self.fresh.append(value)
        return frame


_ENDS = {
    "event_id": (b'"', b'"', _MARK_TEXT),
    "onset_time": (b"", b",", b'"' + _MARK_TEXT + b'"'),
    "components": (b"[", b"]", b'"' + _MARK_TEXT + b'"'),
}
"""Field -> how its varying part begins and ends, and what marks its place."""


def _cuts_of(line: bytes) -> tuple[_Cut, ...]:
    """The three cuts in the order in which they stand in a line."""
    found = []
    for field, (opening, end, mark) in _ENDS.items():
        starts = [b'"%b":%b%b' % (field.encode(), space, opening) for space in (b" ", b"")]
        start = next((text for text in starts if text in line), None)
        if start is None:
            raise DoubtError
        found.append(_Cut(field, start, end, mark))
    return tuple(sorted(found, key=lambda cut: line.index(cut.start)))


def _require_texts(pieces: list[bytes]) -> None:
    """Make sure that pieces without quotes and escapes are JSON strings when quoted, and not empty."""
    if not all(pieces):
        raise DoubtError
    _loads(b'["' + b'","'.join(pieces) + b'"]')


def _values(pieces: list[bytes]) -> list[Any]:
    """The values of pieces that hold no comma; only where they are numbers are they one value each."""
    values: list[Any] = _loads(_one_line(b"[" + b",".join(pieces) + b"]"))
    return values


def _lists(pieces: list[bytes]) -> list[list[Any]]:
    """The lists of pieces that hold no closing bracket: only the brackets put between them can end one."""
    text = _one_line(b"[[" + b"],[".join(pieces) + b"]]")
    lists: list[list[Any]] = _loads(text)
    if len(lists) != len(pieces) or may_repeat(text, _component_keys(text, lists)):
        raise DoubtError
    return lists


def _component_keys(text: bytes, lists: list[list[Any]]) -> int:
    """The keys of all components; quick where these hold no objects of their own."""
    flat = list(itertools.chain.from_iterable(lists))
    if set(map(type, flat)) == {dict} and text.count(b"{") == len(flat):
        return sum(map(len, flat))
    return count_keys(lists)


def _one_line(text: bytes) -> bytes:
    """Text of pieces of which none goes on in the next line: a line break is white space to JSON."""
    if b"\n" in text:
        raise DoubtError
    return text


def _loads(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise DoubtError from None
