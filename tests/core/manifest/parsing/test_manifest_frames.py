"""Lines that share frames are read as if each were read alone."""

import json

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from beatsight_core.manifest.parsing.alike_lines import Frames
from beatsight_core.manifest.parsing.checks import Rules
from beatsight_core.manifest.parsing.fields import DoubtError
from beatsight_core.manifest.parsing.parse import parse_lines
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


def same(fast, careful):
    assert (fast.lines, fast.read, fast.rejections) == (careful.lines, careful.read, careful.rejections)
    assert fast.events.to_pylist() == careful.events.to_pylist()
    assert fast.label_bits.tolist() == careful.label_bits.tolist()
    assert fast.offsets.tolist() == careful.offsets.tolist()
    assert fast.unknown == careful.unknown


@examples(max_examples=80, deadline=None)
@given(st.lists(blocks(), min_size=1, max_size=3))
def test_framed_and_careful_reading_agree(texts):
    careful = parse_lines(b"".join(texts).splitlines(keepends=True), 0, RULES, most=10**9)
    same(parse_lines(texts, 0, RULES), careful)


@examples(max_examples=120, deadline=None)
@given(st.data())
def test_a_byte_changed_anywhere_changes_both_ways_alike(data):
    rows = [usual(data.draw, TEMPLATES[0]) + b"\n" for _ in range(6)]
    text = bytearray(b"".join(rows))
    for _ in range(data.draw(st.integers(1, 2))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.sampled_from(b'\n"{}[],:\\ \x01\xff0a'))
    careful = parse_lines([row + b"\n" for row in bytes(text).removesuffix(b"\n").split(b"\n")], 0, RULES, most=10**9)
    if text.endswith(b"\n"):
        same(parse_lines([bytes(text)], 0, RULES), careful)


def rows(count, **changes):
    return [
        json.dumps({"event_id": f"e{number}", "onset_time": number / 10, "components": [{"label": "kick"}]} | changes)
        for number in range(count)
    ]


def test_lines_of_a_session_are_one_frame():
    frames = Frames()
    cut = frames.cut("\n".join([*rows(5, meter="3/4"), *rows(4)]).encode() + b"\n")
    assert cut.frames.tolist() == [0] * 5 + [1] * 4
    assert frames.fresh == [{"meter": "3/4"}, {}]
    assert cut.ids[:2] == [b"e0", b"e1"]
    assert cut.onsets[:3] == [0.0, 0.1, 0.2]
    assert cut.components[0] == [{"label": "kick"}]


def test_frames_without_end_are_given_up_and_can_be_forgotten():
    frames = Frames()
    block = "\n".join(row for number in range(40) for row in rows(1, beat=number)).encode() + b"\n"
    with pytest.raises(DoubtError):
        frames.cut(block)
    assert not frames.useful
    frames.drop_fresh()
    assert frames.cut("\n".join(rows(3)).encode() + b"\n").frames.tolist() == [0, 0, 0]
