"""A diff shows the values that change and not those beside them."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.promotion.external.shown_lines import without_other_values


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        ('{"token":"hush","model":"old","n":1}', '{"token":"hush","model":"new","n":1}', '…,"model":"new"…'),
        ("{t: hush, model: old}", '{t: hush, model: "n, w"}', '…, model: "n, w"}'),
        ('    "model": "old",', '    "model": "new",', '    "model": "new",'),
        ("MODEL=old  # ours", "MODEL=new  # ours", "MODEL=new  # ours"),
        ('path = "old"', "path = 'new'", "path = 'new'"),
        ("model: old", "model: new", "model: new"),
    ],
)
def test_a_line_is_shown_as_far_as_it_is_about_the_change(before, after, shown):
    assert without_other_values(["a", before], ["a", after])[1] == ["a", shown]


@settings(max_examples=25, deadline=None)
@given(
    tables=st.lists(st.dictionaries(st.text(max_size=4), st.integers(), max_size=3), min_size=2, max_size=2),
    new=st.text("xyz/. ", min_size=1, max_size=8),
)
def test_what_stays_in_one_line_of_json_is_never_shown(tables, new):
    before, after = (
        json.dumps({"s1": "secret1", "left": tables[0], "model": value, "right": tables[1], "s2": ["secret2"]})
        for value in ("old", new)
    )
    old, new_lines = without_other_values([before], [after])
    assert "secret" not in old[0] + new_lines[0]
    assert '"model"' in new_lines[0]
    assert json.dumps(new) in new_lines[0]
