"""Lines are decoded as if each were read alone, whatever the names of their fields."""

import json

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from beatsight_core.manifest.parsing import checks, schema
from beatsight_core.manifest.parsing.checks import RejectedError, Rules, UnknownLabels, read_event
from beatsight_core.manifest.parsing.parse import parse_lines
from beatsight_core.manifest.parsing.schema import LineSchema
from beatsight_core.taxonomy import CORE

RULES = Rules(CORE, frozenset())

TEMPLATES = [
    '{"event_id":"ID","session_id":"s","source_set":"g","audio_path":"a","onset_time":ONSET,"components":[COMPONENTS],"x":1}',
    '{"components": [COMPONENTS], "meter": "4/4", "onset_time": ONSET, "session_id": "s", "source_set": "g", '
    '"audio_path": "b/c", "event_id": "ID"}',
    '{"event_id":"ID","a":{"event_id":"inner","onset_time":5,"components":[]},"session_id":"s","source_set":"g",'
    '"audio_path":"a","onset_time":ONSET,"kit_id":3,"components":[COMPONENTS],"techniques":["flam"]}',
    '{"event_id":"ID","event_id":"twice","session_id":"s","source_set":"g","audio_path":"a","onset_time":ONSET,'
    '"components":[COMPONENTS],"loudness":{"LUFS_i":-3,"more":null}}',
    '{"event_id":"ID","session_id":"s","source_set":"g","audio_path":"a","components":[COMPONENTS],"onset_time":ONSET}',
    '{"event_id":"ID","session_id":"","source_set":"g","audio_path":"/a","onset_time":ONSET,"components":[COMPONENTS],"x":1}',
]
IDS = ["a", "b", "é", "", "x\ty", 'q"r', "back\\\\slash", "back\\", "two words", "]", ",", '","onset_time":3,"y":"']
ONSETS = ["0", "1.5", "-0.0", "1e3", "-1", "true", '"1"', "", "1,", "[1]", "1 ", "01", "NaN", "1e999", "{}", "1\n"]
COMPONENTS = [
    '{"label":"kick"}', '{"label":"snare","velocity":0.5}', '{"label":"tom_floor","velocity":1,"pedal":true}',
    '{"label":"gong"}', '{"label":"kick","x":[1,2]}', '{"label":"kick","x":"]"}', "", "3", "[", "]", '{"label":"kick"',
    '"label":"kick"}', '{"label":"kick","velocity":1.5}', '{"label":"hihat_open","openness":0.25,"n":{"a":"}"}}', "[1",
    '{"label":"kick"},', "\n", '{"label":"kick","velocity":0.5}', '{"label":"kick","velocity":null,"openness":2}',
    '{"label":"crash","velocity":0.25,"dynamic_bucket":"medium","stem":"S1","n":-21.0}',
    '{"label":"kick","velocity":1,}',
    '{"label":"crash","velocity":1,"dynamic_bucket":"medium","stem":"S1","n":-21}', '{"label":"gong","velocity":1}',
    '{"label":"kick","velocity":0.1,"velocity":0.2}', '{"label":"kick","velocity":0.1,"label":"snare"}',
    '{"label":"kick","velocity":"1"}', '{"label":"kick","velocity":true,"a":{"b":"},{"}}', '{"label":3,"velocity":1}',
    '{"label":"kick","velocity":0.5,"openness":true}', '{"label":"kick","velocity":1 ,"note":"é"}',
    '{"label": "snare", "velocity": 0.5, "openness": 0.25}', '{"x":1,"label":"kick","velocity":0.5}',
]  # fmt: skip


def line(draw, template):
    text = template.replace("ID", draw(st.sampled_from(IDS)), 1)
    text = text.replace("ONSET", draw(st.sampled_from(ONSETS)))
    parts = draw(st.lists(st.sampled_from(COMPONENTS), min_size=1, max_size=3))
    return text.replace("COMPONENTS", ",".join(parts)).encode()


def usual(draw, template):
    text = template.replace("ID", f"e{draw(st.integers(0, 99))}", 1)
    text = text.replace("ONSET", str(draw(st.floats(0, 9))))
    usual_ones = st.sampled_from([part for part in COMPONENTS if part.startswith('{"label":') and is_good(part)])
    return text.replace("COMPONENTS", ",".join(draw(st.lists(usual_ones, min_size=1)))).encode()


def is_good(component):
    try:
        return json.loads(component)["label"] in ("kick", "snare", "crash", "tom_floor")
    except json.JSONDecodeError:
        return False


@st.composite
def blocks(draw):
    templates = draw(st.lists(st.sampled_from(TEMPLATES), min_size=1, max_size=3))
    makers = st.sampled_from([usual] * 8 + [line])
    rows = [draw(makers)(draw, draw(st.sampled_from(templates))) for _ in range(draw(st.integers(4, 30)))]
    return b"".join(row + draw(st.sampled_from([b"\n"] * 9 + [b"\r\n"])) for row in rows)


def same(whole, alone):
    assert (whole.lines, whole.read, whole.rejections) == (alone.lines, alone.read, alone.rejections)
    assert whole.events.to_pylist() == alone.events.to_pylist()
    assert whole.label_bits.tolist() == alone.label_bits.tolist()
    assert whole.offsets.tolist() == alone.offsets.tolist()
    assert whole.unknown == alone.unknown


@examples(max_examples=80, deadline=None)
@given(st.lists(blocks(), min_size=1, max_size=3))
def test_a_line_gives_the_same_in_a_block_and_alone(texts):
    alone = parse_lines(b"".join(texts).splitlines(keepends=True), 0, RULES, most=10**9)
    same(parse_lines(texts, 0, RULES), alone)


@examples(max_examples=120, deadline=None)
@given(st.data())
def test_a_byte_changed_anywhere_changes_no_other_line(data):
    rows = [usual(data.draw, TEMPLATES[0]) + b"\n" for _ in range(6)]
    text = bytearray(b"".join(rows))
    for _ in range(data.draw(st.integers(1, 2))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.sampled_from(b'\n"{}[],:\\ \x01\xff0a'))
    alone = parse_lines([row + b"\n" for row in bytes(text).removesuffix(b"\n").split(b"\n")], 0, RULES, most=10**9)
    if text.endswith(b"\n"):
        same(parse_lines([bytes(text)], 0, RULES), alone)


@examples(max_examples=40, deadline=None)
@given(blocks())
def test_what_is_taken_is_what_careful_reading_takes(text):
    """`read_event` gives the reasons; no line may be taken that it refuses, nor be refused without a reason of its."""
    result = parse_lines([text], 0, RULES)
    reasons, ids = {}, []
    for place, row in enumerate(text.splitlines() if b"\r" not in text.replace(b"\r\n", b"") else text.split(b"\n")):
        if row.strip():
            try:
                ids.append(read_event(row, RULES, UnknownLabels())["event_id"])
            except RejectedError as refusal:
                reasons[place] = (refusal.reason, refusal.message)
    assert {each.line: (each.reason, each.message) for each in result.rejections} == reasons
    assert result.events.column("event_id").to_pylist() == ids


def rows(count, **changes):
    return [
        json.dumps(
            {
                "event_id": f"e{number}", "session_id": "s", "source_set": "g", "audio_path": "a",
                "onset_time": number / 10, "components": [{"label": "kick"}],
            }
            | changes
        ).encode()
        for number in range(count)
    ]  # fmt: skip


def test_names_are_learned_once_and_kept():
    lines = LineSchema()
    first = lines.decode([*rows(5, meter="3/4"), *rows(2, components=[{"label": "kick", "stem": 1}])])
    assert None not in first
    fields = lines.columns(first)
    assert [bytes(text) for text in fields["meter"][:5]] == [b'"3/4"'] * 5
    assert fields["meter"][5:] == (msgspec.UNSET, msgspec.UNSET)
    assert bytes(first[5].components[0].extra_0) == b"1"


def test_a_manifest_of_ever_new_names_is_read_with_bounded_memory(monkeypatch):
    monkeypatch.setattr(schema, "MOST_NAMES", 5)
    texts = [
        rows(
            1, event_id=f"e{number}", **{f"n{number}": number}, components=[{"label": "kick", f"c{number}": [number]}]
        )[0]
        for number in range(40)
    ]
    result = parse_lines([b"\n".join(texts) + b"\n"], 0, RULES)
    assert result.rejections == []
    assert [orjson.loads(text) for text in result.events.column("extra").to_pylist()] == [
        {"components": [{f"c{number}": [number]}], f"n{number}": number} for number in range(40)
    ]


@pytest.mark.parametrize(
    "name", ["others", "extra_0", "", 'a"b', "a\\b", "\x01", "é", "sample_id", "ignored_components"]
)
def test_a_field_may_have_any_name(name):
    texts = rows(2, **{name: {name: 1}}, components=[{"label": "kick", name: [name]}])
    extras = parse_lines([b"\n".join(texts) + b"\n"], 0, RULES).events.column("extra").to_pylist()
    assert [orjson.loads(text) for text in extras] == [{name: {name: 1}, "components": [{name: [name]}]}] * 2


def test_a_wrong_line_does_not_make_its_neighbours_be_read_again(monkeypatch):
    seen = []
    read = checks.read_event
    monkeypatch.setattr(checks, "read_event", lambda line, *rest: (seen.append(line), read(line, *rest))[1])
    wrong = [*rows(1, onset_time=-5), *rows(1, components=[]), *rows(1, is_synthetic=3), b"{"]
    result = parse_lines([b"\n".join([*rows(50), *wrong, *rows(50)]) + b"\n"], 0, RULES)
    assert (result.events.num_rows, len(result.rejections)) == (100, 4)
    assert sorted(seen) == sorted(wrong)
