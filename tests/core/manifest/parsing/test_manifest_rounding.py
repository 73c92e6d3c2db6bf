"""Numbers that were rounded to just outside of their range are its end; further out they are refused."""

import json
import math

import numpy as np
import pytest

from beatsight_core.manifest.parsing.checks import (
    MAX_ONSET_S,
    RejectedError,
    Rules,
    UnknownLabels,
    in_range,
    read_event,
)
from beatsight_core.manifest.parsing.parse import parse_lines
from beatsight_core.taxonomy import CORE

RULES = Rules(CORE, frozenset())

TAKEN = {
    1.0000000000000002: 1.0,
    1.0000001: 1.0,  # what single precision makes of a sum
    float(np.float32(1.0000001)): 1.0,
    127 / 127: 1.0,
    127 * (1 / 127): 1.0,
    -0.0: 0.0,
    -1e-17: 0.0,
    -1e-7: 0.0,
    sum([0.1] * 10): sum([0.1] * 10),
    5e-324: 0.0,
    0.5: 0.5,
}
REFUSED = [1.00001, 1.0079, 128 / 127, 127, -0.00001, -1, 1e300, True, "0.5", [0.5]]


def both_ways(*events):
    """Read at once with plain neighbours, and one line at a time."""
    raw = [json.dumps(event).encode() + b"\n" for event in events]
    return parse_lines([b"".join(raw)], 0, RULES), parse_lines(raw, 0, RULES, most=10**9)


@pytest.mark.parametrize("name", ["velocity", "openness"])
@pytest.mark.parametrize("given", TAKEN)
def test_a_number_at_the_edge_is_the_edge(event, name, given):
    column = {"velocity": "velocities", "openness": "openness"}[name]
    for result in both_ways(event(), event(components=[{"label": "hihat_open", name: given}]), event()):
        assert result.rejections == []
        (found,) = result.events.to_pylist()[1][column]
        assert found == float(np.float32(TAKEN[given]))
        assert math.copysign(1, found) == 1


@pytest.mark.parametrize("given", REFUSED)
def test_a_number_that_is_outside_is_refused(event, given):
    for result in both_ways(event(), event(components=[{"label": "kick", "velocity": given}])):
        (rejection,) = result.rejections
        assert (rejection.reason, "components[0].velocity" in rejection.message) == ("wrong_type", True)


@pytest.mark.parametrize(
    ("given", "held"), [(-0.0, 0.0), (-1e-9, 0.0), (MAX_ONSET_S + 1e-7, MAX_ONSET_S), (0.1 + 0.2, 0.1 + 0.2)]
)
def test_onsets_are_held_as_velocities_are(event, given, held):
    for result in both_ways(event(), event(onset_time=given)):
        onset = result.events.to_pylist()[1]["onset_time"]
        assert onset == held
        assert math.copysign(1, onset) == 1


@pytest.mark.parametrize("given", [-2e-6, MAX_ONSET_S + 1e-5, -1, 1e9])
def test_onsets_outside_are_refused(event, given):
    with pytest.raises(RejectedError) as caught:
        read_event(json.dumps(event(onset_time=given)).encode(), RULES, UnknownLabels())
    assert caught.value.reason == "bad_onset"


def test_what_is_no_number_is_in_no_range():
    assert in_range(math.nan, 0, 1) is None
    assert in_range(math.inf, 0, 1) is None
    assert in_range(10**400, 0, 1) is None
