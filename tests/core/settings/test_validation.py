"""A table against the dataclass that describes it: what fits is taken, and all that does not is told at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, model_validator

from beatsight_core.settings.validation import (
    Number,
    RootedPath,
    SettingsTable,
    Switch,
    Whole,
    checked,
    hidden,
    hidden_key,
    overrides_of,
)


@dataclass(frozen=True, slots=True)
class Drum(SettingsTable):
    name: Annotated[str, hidden("name")]
    heads: Annotated[Whole, Field(ge=1, le=2)] = 2
    depth_cm: Number = 14.0
    width_cm: Number = 20.0
    tuned: Switch = False
    kind: Literal["tom", "snare", "kick"] = "tom"
    sound: RootedPath | None = None
    lugs: tuple[Whole, ...] = ()
    gains: Mapping[str, Number] = field(default_factory=dict)

    @model_validator(mode="after")
    def _flat(self) -> "Drum":
        if self.depth_cm > self.width_cm:
            raise ValueError("depth_cm must be at most width_cm")
        return self


@dataclass(frozen=True, slots=True)
class Shell(SettingsTable):
    wood: str
    plies: Annotated[Whole, Field(ge=1)] = 6


@dataclass(frozen=True, slots=True)
class Kit(SettingsTable):
    drums: Mapping[str, Shell] = field(default_factory=dict)
    shells: tuple[Shell, ...] = ()


def drum(table, data_root=Path("/root")):
    problems: list[str] = []
    return checked(Drum, {**table, hidden_key("name"): "x"}, problems, data_root=data_root), problems


@pytest.mark.parametrize(
    ("name", "value", "result"),
    [
        ("depth_cm", 3, 3.0),
        ("heads", 1, 1),
        ("sound", "a/b", Path("/root/a/b")),
        ("sound", "/a/b", Path("/a/b")),
        ("lugs", [1, 2], (1, 2)),
        ("gains", {"kick": 1}, {"kick": 1.0}),
        ("tuned", True, True),
    ],
)
def test_a_value_gets_its_type(name, value, result):
    made, problems = drum({name: value})
    assert not problems
    assert (getattr(made, name), type(getattr(made, name))) == (result, type(result))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("heads", True, "heads must be a whole number, not True"),
        ("heads", 2.0, "heads must be a whole number, not 2.0"),
        ("heads", "2", "heads must be a whole number, not '2'"),
        ("heads", 3, "heads must be at most 2, not 3"),
        ("depth_cm", True, "depth_cm must be a number, not True"),
        ("depth_cm", "3", "depth_cm must be a number, not '3'"),
        ("depth_cm", float("nan"), "depth_cm must be a finite number, not nan"),
        ("depth_cm", 10**400, "depth_cm must be a finite number, not 1000"),
        ("tuned", 1, "tuned must be true or false, not 1"),
        ("tuned", "yes", "tuned must be true or false, not 'yes'"),
        ("sound", 3, "sound must be a path, not 3"),
        ("lugs", [1, "2"], "lugs[1] must be a whole number, not '2'"),
        ("lugs", "12", "lugs must be a list, not '12'"),
        ("gains", {"kick": "loud"}, "gains.kick must be a number, not 'loud'"),
        ("gains", [], "[gains] must be a table"),
        ("kind", "snar", "kind must be one of tom, snare, kick, not 'snar' (did you mean snare?)"),
        ("kind", 3, "kind must be one of tom, snare, kick, not 3"),
        ("depth_cm", 21, "depth_cm must be at most width_cm"),
        ("name", "y", "there is no setting name"),
        ("head", 1, "there is no setting head (did you mean heads?)"),
    ],
)
def test_what_does_not_fit_is_told_with_what_it_must_be(name, value, said):
    made, (problem,) = drum({name: value})
    assert problem.startswith(said)
    assert made in (None, Drum("x"))  # what is wrong is left out


def test_a_number_of_thousands_of_digits_is_not_quoted():
    assert drum({"depth_cm": 10**5000})[1] == ["depth_cm must be a finite number, not what it is"]


def test_all_problems_come_in_the_order_of_the_table_and_what_fits_is_kept():
    table = {"head": 1, "depth_cm": float("inf"), "name": "tom", "lugs": [6, 8], "tuned": "yes", "width_cm": 10}
    made, problems = drum(table)
    assert problems == [
        "there is no setting head (did you mean heads?)",
        "depth_cm must be a finite number, not inf",
        "there is no setting name",
        "tuned must be true or false, not 'yes'",
        "depth_cm must be at most width_cm",  # 14, as what was written is left out
    ]
    assert made is None
    made, problems = drum({key: value for key, value in table.items() if key != "width_cm"})
    assert (made, len(problems)) == (Drum("x", lugs=(6, 8)), 4)


def test_the_place_of_a_problem_is_told():
    tables = {"a": {"plys": 1, "wood": "birch"}, "b": 3}
    problems: list[str] = []
    assert checked(Kit, {"drums": tables, "shells": [{"plies": 0}, {"wood": "oak"}]}, problems) == Kit(
        {"a": Shell("birch")}
    )
    assert problems == [
        "there is no setting drums.a.plys (did you mean drums.a.plies?)",
        "[drums.b] must be a table",
        "shells[0].plies must be at least 1, not 0",
        "shells[0] lacks wood",
    ]
    problems.clear()
    checked(Kit, {"shells": 3}, problems)
    assert problems == ["[[shells]] must be a list of tables"]


def test_overrides_are_the_same_fields_with_the_same_constraints():
    kind = overrides_of(Drum, "DrumOverrides", without=["name"])
    problems: list[str] = []
    made = checked(kind, {"heads": 1}, problems)
    assert (made.heads, made.depth_cm, problems) == (1, None, [])
    checked(kind, {"heads": 3, "head": 1}, problems)
    assert problems == [
        "heads must be at most 2, not 3", "there is no setting head (did you mean heads?)",
    ]  # fmt: skip
