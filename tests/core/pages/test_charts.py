import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.pages import charts

FINITE = st.floats(-1e9, 1e9)


@pytest.mark.parametrize(
    ("value", "limit", "margin", "expected"),
    [(500, 500, 0, 0.0), (0, 500, -500, -1.0), (0, 0, 0, 0.0), (1500, 500, 1000, 0.5), (0.0, 0.1, 0.1, 1.0)],
)
def test_reach_puts_the_limit_in_the_middle(value, limit, margin, expected):
    assert charts.reach(value, limit, margin) == pytest.approx(expected)


def test_reach_of_nothing_measured_is_nothing():
    assert charts.reach(None, 1, None) is None
    assert charts.reach(1, 1, math.nan) is None


@settings(max_examples=100, deadline=None)
@given(part=st.none() | st.floats(), whole=st.none() | st.floats())
def test_a_ratio_is_always_a_share(part, whole):
    assert 0.0 <= charts.ratio(part, whole) <= 1.0


@settings(max_examples=100, deadline=None)
@given(low=FINITE, width=st.floats(1e-6, 1e9))
def test_ticks_are_round_few_and_inside(low, width):
    ticks = charts.nice_ticks(low, low + width)
    assert len(ticks) <= 8
    slack = 1e-6 * max(abs(low), width, 1.0)
    assert all(low - slack <= tick <= low + width + slack for tick in ticks)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(FINITE, st.none() | st.floats(width=32)), max_size=20))
def test_every_line_stays_in_its_box(points):
    drawn = charts.plot([{"title": "a", "points": points}])
    for curve in drawn.curves:
        numbers = [float(n) for n in curve.path.replace("M", " ").replace("L", " ").split()]
        assert all(-0.01 <= n <= 100.01 for n in numbers)


def test_a_missing_value_breaks_the_line_instead_of_bridging_it():
    drawn = charts.plot([{"title": "a", "points": [(0, 0.0), (1, None), (2, 1.0), (3, 0.5)]}])
    assert drawn.curves[0].path == "M0.00 100.00M66.67 0.00L100.00 50.00"
    assert drawn.curves[0].last == 0.5


def test_edges_to_label_are_few_and_even():
    assert charts.spread(10) == [0, 2, 4, 6, 8, 10]
    assert charts.spread(3) == [0, 1, 2, 3]
    assert charts.spread(0) == [0]


def test_shares_of_a_split_add_up():
    shares = charts.split_shares({"train": 3, "val": 1, "calibration": 0}, ["train", "val", "calibration"])
    assert shares == [("train", 0.75), ("val", 0.25)]
