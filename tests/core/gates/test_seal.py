import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.gates.record import is_sealed, seal_of, sealed

KEY = "seal"

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abcé", max_size=3), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), VALUES, max_size=4))
def test_what_was_sealed_is_still_sealed_when_it_was_written_and_read(report):
    read = json.loads(json.dumps(sealed(report, KEY)))
    assert is_sealed(read, KEY)
    assert sealed(read, KEY) == read
    assert not is_sealed({**read, "more": 1}, KEY)


def test_order_does_not_matter_and_every_value_does():
    report = sealed({"gates": [{"passed": False, "value": 0.5}], "limits": {"kick": 500}}, KEY)
    assert is_sealed(dict(reversed(report.items())), KEY)
    report["gates"][0]["passed"] = True
    assert not is_sealed(report, KEY)
    assert is_sealed(sealed(report, KEY), KEY)


@pytest.mark.parametrize(
    "report", [None, [], "text", {}, {"seal": seal_of({"a": 1}, KEY)}, {"a": 1}, {"a": 1, "seal": None}]
)
def test_what_has_no_seal_or_a_wrong_one_is_not_sealed(report):
    assert not is_sealed(report, KEY)


def test_values_that_json_has_no_word_for_are_sealed_as_they_are_read():
    report = sealed({"value": float("nan"), "edges": (0, 1)}, KEY)
    assert report["value"] is None
    assert report["edges"] == [0, 1]
    assert is_sealed(report, KEY)
