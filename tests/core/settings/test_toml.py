from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from beatsight_core.toml import MISFIT, fitted, section, values_of


@dataclass(frozen=True)
class Drum:
    name: str
    heads: int = 2
    depth_cm: float = 14.0
    tuned: bool = False
    sound: Path | None = None
    lugs: tuple[int, ...] = ()
    gains: Mapping[str, float] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("value", "hint", "result"),
    [
        (3, float, 3.0),
        (True, int, MISFIT),
        (True, float, MISFIT),
        (2.5, int, MISFIT),
        ("3", int, MISFIT),
        (float("nan"), float, MISFIT),
        (10**400, float, MISFIT),
        ("a/b", Path | None, Path("a/b")),
        ([1, 2], tuple[int, ...], (1, 2)),
        ([1, "2"], tuple[int, ...], MISFIT),
        ("12", tuple[int, ...], MISFIT),
        ({"kick": 1}, Mapping[str, float], {"kick": 1.0}),
        ({"kick": "loud"}, Mapping[str, float], MISFIT),
        ([], Mapping[str, float], MISFIT),
    ],
)
def test_a_value_fits_its_type_or_not(value, hint, result):
    assert fitted(value, hint) == result or (fitted(value, hint) is result)


def test_a_section_collects_all_its_problems_and_keeps_what_fits():
    problems: list[str] = []
    table = {"head": 1, "depth_cm": float("inf"), "name": "tom", "lugs": [6, 8], "tuned": "yes"}
    drum = section(Drum, table, "drums.snare", problems, name="snare")
    assert drum == Drum("snare", lugs=(6, 8))
    assert problems == [
        "there is no setting drums.snare.head (did you mean drums.snare.heads?)",
        "drums.snare.depth_cm must be a finite number, not inf",
        "there is no setting drums.snare.name",
        "drums.snare.tuned must be bool, not 'yes'",
    ]


def test_what_is_no_table_is_one_problem():
    problems: list[str] = []
    assert section(Drum, 3, "drums.snare", problems, name="snare") == Drum("snare")
    assert problems == ["[drums.snare] must be a table"]


def test_text_stands_for_a_value_only_where_it_was_typed():
    problems: list[str] = []
    typed = {"heads": "1", "depth_cm": "6.5", "tuned": "Yes", "name": "7"}
    assert values_of(Drum, typed, "", problems, typed=True) == {"heads": 1, "depth_cm": 6.5, "tuned": True, "name": "7"}
    assert not problems
    assert values_of(Drum, {"heads": "one", "tuned": "maybe", "depth_cm": "inf"}, "", problems, typed=True) == {}
    assert problems == [
        "heads must be int, not 'one'",
        "tuned must be bool, not 'maybe'",
        "depth_cm must be a finite number, not 'inf'",
    ]
