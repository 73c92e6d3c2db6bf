import math

import pytest

from beatsight_core.pages.formats import FORMATS, shown


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (3010770, "count", "3,010,770"),
        (-12, "count", "−12"),
        (0.25, "share", "25.0 %"),
        (0.00042, "share", "0.042 %"),
        (0.005, "share", "0.50 %"),
        (0, "share", "0 %"),
        (1.0, "share", "100 %"),
        (0.99999, "share", "> 99.9 %"),
        (0.9312, "decimal", "0.931"),
        (-0.0001, "decimal", "0.000"),
        (12.0, "number", "12"),
        (0.12345, "number", "0.1235"),
        (0.00001, "number", "1e−05"),
        (12, "signed", "+12"),
        (-0.5, "signed", "−0.5"),
        (8.268, "tenths", "+8.3"),
        (-0.1814, "tenths", "−0.2"),
        (0.01, "tenths", "0.0"),
        (12300, "duration", "3 h 25 min"),
        (3599.9, "duration", "60 min"),
        (245, "duration", "4 min 5 s"),
        (12.5, "duration", "12.5 s"),
        (0.28, "duration", "280 ms"),
        (0, "duration", "0 s"),
        (692_000_000, "size", "692 MB"),
        (1_600_000_000, "size", "1.6 GB"),
        (512, "size", "512 bytes"),
        (-3.04, "decibels", "−3.0 dB"),
        (["kick", "snare"], "text", "kick, snare"),
        ([], "text", "–"),
        (True, "text", "yes"),
        (False, "text", "no"),
    ],
)
def test_figures_are_written_one_way(value, kind, expected):
    assert shown(value, kind) == expected


@pytest.mark.parametrize("kind", sorted(FORMATS))
@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_what_was_not_measured_is_a_dash(kind, value):
    assert shown(value, kind) == "–"
