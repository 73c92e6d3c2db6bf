"""One mechanism writes and reads every typed value: what is written is read back equal, and wrong types are refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beatsight_core.errors import DatasetError
from beatsight_core.typed_json import from_json, to_json


@dataclass(frozen=True, slots=True)
class Inner:
    count: int
    share: float | None


@dataclass(frozen=True, slots=True)
class Outer:
    DERIVED: ClassVar = ("total",)
    name: str
    parts: tuple[Inner, ...]
    by_label: Mapping[str, Inner]
    place: Path | None = None

    @property
    def total(self) -> int:
        return sum(part.count for part in self.parts)


INNERS = st.builds(Inner, st.integers(-(2**53), 2**53), st.none() | st.floats(allow_nan=False, allow_infinity=False))
OUTERS = st.builds(Outer, st.text(), st.lists(INNERS).map(tuple), st.dictionaries(st.text(), INNERS))


@given(OUTERS)
def test_what_is_written_is_read_back_equal(value: Outer) -> None:
    written = to_json(value)
    assert list(written) == ["name", "parts", "by_label", "place", "total"]
    assert from_json(Outer, orjson.loads(orjson.dumps(written))) == value


def test_paths_are_text_and_unknown_keys_are_passed_over() -> None:
    value = Outer("a", (), {}, Path("/a/b"))
    written = to_json(value)
    assert (written["place"], written["total"]) == ("/a/b", 0)
    assert from_json(Outer, {**written, "more": 1}) == value


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"parts": None}, "parts: "),
        ({"parts": [{"count": "many", "share": 0.5}]}, r"parts\.0\.count: "),
        ({"by_label": {"kick": {}}}, r"by_label\.kick\.count: "),
    ],
)
def test_a_wrong_value_is_named_with_its_place(change: dict[str, object], said: str) -> None:
    written = to_json(Outer("a", (), {}))
    with pytest.raises(DatasetError, match=f"does not hold Outer.*report.json.*{said}"):
        from_json(Outer, {**written, **change}, Path("report.json"))
