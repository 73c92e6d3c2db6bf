"""A key that an object names twice is a reject with a reason, wherever it stands and whichever way the line is read."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.manifest.parsing import columns
from beatsight_core.manifest.parsing.checks import Rules
from beatsight_core.manifest.parsing.parse import parse_lines
from beatsight_core.manifest.parsing.repeated_keys import (
    count_keys,
    line_may_repeat,
    may_repeat,
    repeated_key,
)
from beatsight_core.taxonomy import CORE

RULES = Rules(CORE, frozenset())
EVENT = (
    '{"event_id":"ID","session_id":"s","source_set":"g","audio_path":"a","onset_time":0.5,"components":[{"label":"kick"'
    ',"velocity":0.5}],"context_ms":{"pre":80,"post":200},"meta":{"a":1,"list":[{"x":{"y":2}}]}}'
)

TWICE = {
    "an id": (EVENT[:-1] + ',"event_id":"other"}', "event_id"),
    "an onset": (EVENT.replace('"onset_time"', '"onset_time":3,"onset_time"'), "onset_time"),
    "of the same value": (EVENT.replace('"session_id"', '"session_id":"s","session_id"'), "session_id"),
    "an unknown field": (EVENT.replace('"meta"', '"other":1,"other":2,"meta"'), "other"),
    "in a component": (EVENT.replace('"velocity":0.5', '"velocity":0.5,"velocity":0.9'), "velocity"),
    "a label": (EVENT.replace('"label"', '"label":"snare","label"'), "label"),
    "in the context": (EVENT.replace('"pre":80', '"pre":80,"pre":90'), "pre"),
    "deep inside": (EVENT.replace('"y":2', '"y":2,"y":3'), "y"),
    "the components": (EVENT[:-1] + ',"components":[{"label":"snare"}]}', "components"),
    "with an escape": (EVENT[:-1] + ',"event_i\\u0064":"other"}', "event_id"),
    "with a blank before its colon": (EVENT[:-1] + ',"event_id" :"other"}', "event_id"),
    "beside a text that begins with a colon": (EVENT[:-1] + ',"n":":","event_id" :"other"}', "event_id"),
    "beside a text with a quoted colon": (EVENT[:-1] + ',"n":"a\\":","event_id"\t:"other"}', "event_id"),
}  # fmt: skip


@pytest.mark.parametrize("case", TWICE)
@pytest.mark.parametrize("neighbours", [0, 60])
def test_it_is_a_reject_with_a_reason(case, neighbours):
    text, key = TWICE[case]
    before, after = ([EVENT.replace("ID", f"{side}{number}") for number in range(neighbours)] for side in "ab")
    rows = [*before, text.replace("ID", "twice"), *after]
    result = parse_lines(["\n".join(rows).encode() + b"\n"], 0, RULES)
    (rejection,) = result.rejections
    assert (rejection.reason, rejection.line) == ("repeated_key", neighbours)
    assert f'"{key}" twice' in rejection.message
    assert result.events.num_rows == 2 * neighbours


FINE = {
    "texts with colons": EVENT[:-1] + ',"note":"a: b","time":":30","url":"gmd:drummer1"}',
    "one key in several objects": EVENT[:-1] + ',"pre":1,"label":{"label":{"label":2}}}',
    "blanks before colons": EVENT.replace('":', '" :'),
    "escapes": EVENT[:-1] + ',"n":"\\":\\":","m":"\\u003a"}',
    "braces in texts": EVENT[:-1] + ',"n":"{{:}"}',
}


@pytest.mark.parametrize("case", FINE)
def test_what_only_looks_like_it_is_an_event(case):
    rows = [FINE[case].replace("ID", f"e{number}") for number in range(30)]
    result = parse_lines(["\n".join(rows).encode() + b"\n"], 0, RULES)
    assert (result.events.num_rows, result.rejections) == (30, [])


def test_usual_lines_are_not_read_a_second_time(monkeypatch):
    def refuse(_):
        raise AssertionError("a line was read again")

    monkeypatch.setattr(columns, "repeated_key", refuse)
    for change in (lambda row, number: row, lambda row, number: row[:-1] + f',"n{number}":"a:b"}}'):
        rows = [change(EVENT.replace("ID", f"e{number}"), number) for number in range(200)]
        assert parse_lines(["\n".join(rows).encode() + b"\n"], 0, RULES).events.num_rows == 200


keys = st.sampled_from(["a", "b", ":", "", "components", "context_ms", "é", 'q"'])
leaves = st.one_of(st.none(), st.integers(0, 3), st.sampled_from(["", ":", '":', "a: b", "{", 'x" :']))


def pairs(values):
    return st.lists(st.tuples(keys, values), max_size=4)


@st.composite
def texts(draw, depth=3):
    """A JSON text in which keys may repeat, spaced as writers space it."""
    kind = draw(st.integers(0, 2 if depth else 0))
    if kind == 0:
        return json.dumps(draw(leaves), ensure_ascii=draw(st.booleans()))
    inner = [draw(texts(depth=depth - 1)) for _ in range(draw(st.integers(0, 3)))]
    if kind == 1:
        return f"[{','.join(inner)}]"
    colon = draw(st.sampled_from([":", ": ", " :", "\t: "]))
    named = [json.dumps(draw(keys), ensure_ascii=draw(st.booleans())) + colon + text for text in inner]
    return "{" + ",".join(named) + "}"


def has_repeats(text):
    found = []

    def look(items):
        found.append(len({key for key, _ in items}) < len(items))
        return dict(items)

    json.loads(text, object_pairs_hook=look)
    return any(found)


@settings(max_examples=100, deadline=None)
@given(texts())
def test_what_is_said_not_to_repeat_does_not(text):
    line, value = text.encode(), json.loads(text)
    repeats = has_repeats(text)
    assert (repeated_key(line) is not None) == repeats
    for found in (may_repeat(line, count_keys([value])), line_may_repeat(line, count_keys([value]))):
        assert found or not repeats
