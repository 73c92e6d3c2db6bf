"""A line gives the same columns in a block and alone, and every line is taken or rejected."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.manifest.parsing.checks import Rules
from beatsight_core.manifest.parsing.parse import parse_lines
from beatsight_core.taxonomy import CORE

RULES = Rules(CORE, frozenset({"lenient"}))

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=True), st.text(max_size=5),
    st.sampled_from([0, 1, 0.5, 1.0, -0.0, 86400, "1", "a\nb", "../x", "C:\\a", "a/./b", "gong", "snare", "tom_floor"]),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["pre", "post", "label", "velocity", "openness", "x"]), inner, max_size=3),
    ),
    max_leaves=5,
)
FIELDS = [
    "event_id", "sample_id", "session_id", "source_set", "audio_path", "onset_time", "components", "techniques",
    "is_synthetic", "negative_example", "drummer_id", "kit_id", "licence", "context_ms", "loudness", "tempo_bpm",
    "extra",
]  # fmt: skip
COMPONENT_FIELDS = ["label", "velocity", "openness", "dynamic_bucket", "choke"]


@st.composite
def lines(draw):
    """One line: a valid event, with some fields replaced or bytes broken."""
    event = {
        "event_id": draw(st.text(min_size=1, max_size=4)),
        "session_id": draw(st.sampled_from(["s1", "s2", "é"])),
        "source_set": draw(st.sampled_from(["groove", "lenient"])),
        "audio_path": draw(st.sampled_from(["a.wav", "b/c.flac", "b\\c.flac"])),
        "onset_time": draw(st.floats(0, 100)),
        "components": [
            {
                "label": draw(st.sampled_from(["kick", "snare", "china2"])),
                "velocity": draw(st.sampled_from([0.25, 0.8, 1, None])),
            }
            for _ in range(draw(st.integers(1, 3)))
        ],
        "techniques": draw(st.sampled_from([[], ["flam"], ["b", "a"]])),
        "drummer_id": draw(st.sampled_from([None, "d", 3, 3.0, "3"])),
    }
    for name in draw(st.lists(st.sampled_from(FIELDS), max_size=2)):
        event[name] = draw(values)
    if isinstance(event["components"], list) and event["components"] and isinstance(event["components"][0], dict):
        for name in draw(st.lists(st.sampled_from(COMPONENT_FIELDS), max_size=1)):
            event["components"][0][name] = draw(values)
    line = json.dumps(event, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    match draw(st.integers(0, 9)):
        case 0:
            place = draw(st.integers(0, len(line)))
            line = line[:place] + draw(st.binary(max_size=2)).replace(b"\n", b"") + line[place + 1 :]
        case 1:
            line = draw(st.sampled_from([b"", b"  ", b"\r", b"[]", b"3", b"{}"]))
        case 2:
            line += b"\r"
    return line


@settings(max_examples=150, deadline=None)
@given(st.lists(lines(), min_size=1, max_size=6))
def test_a_block_gives_what_its_lines_give_alone(raw):
    text = b"\n".join(raw) + b"\n"
    whole = parse_lines([text], 0, RULES)
    alone = parse_lines([line + b"\n" for line in raw], 0, RULES, most=10**9)
    assert whole.events.num_rows + len(whole.rejections) == whole.read
    assert (whole.lines, whole.read, whole.rejections) == (alone.lines, alone.read, alone.rejections)
    assert whole.events.to_pylist() == alone.events.to_pylist()
    assert whole.label_bits.tolist() == alone.label_bits.tolist()
    assert whole.offsets.tolist() == alone.offsets.tolist()
    assert whole.unknown == alone.unknown


def parse(*events):
    text = b"".join(json.dumps(event).encode() + b"\n" for event in events)
    return parse_lines([text], 0, RULES)


def test_all_fields_find_their_column(event):
    full = event(
        onset_time=1,
        components=[
            {"label": "hihat_open", "velocity": 1, "openness": 0.5, "dynamic_bucket": "loud", "choke": True},
            {"label": "tom_floor", "velocity": 0.8},
        ],
        techniques=["flam"], is_synthetic=True, drummer_id="d", kit_id=7, room_id="r", licence="CC0", bleed_level="low",
        mix_context="solo", negative_example=True, loudness={"LUFS_i": -14, "peak_dbfs": -1.5, "range": 3},
        context_ms={"pre": 80}, tempo_bpm=120.5, meter="4/4", unknown={"b": [1, None], "a": "é"},
    )  # fmt: skip
    (row,) = parse(full).events.to_pylist()
    expected = {
        "line": 0, "onset_time": 1.0, "labels": ["hihat_open", "tom_low"], "openness": [0.5, None],
        "dynamic_buckets": ["loud", "medium"], "techniques": ["flam"], "is_synthetic": True, "negative_example": True,
        "drummer_id": "d", "kit_id": "7", "room_id": "r", "licence": "CC0", "bleed_level": "low", "mix_context": "solo",
        "loudness_lufs": -14.0, "loudness_peak_dbfs": -1.5, "context_pre_ms": 80.0, "context_post_ms": None,
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    assert row["velocities"] == pytest.approx([1.0, 0.8])
    assert json.loads(row["extra"]) == {
        "components": [{"choke": True}, {}],
        "loudness": {"range": 3},
        "meter": "4/4",
        "tempo_bpm": 120.5,
        "unknown": {"a": "é", "b": [1, None]},
    }


def test_what_a_line_gives_does_not_depend_on_its_neighbours(event):
    plain, odd = event(), event(kit_id=3, components=[{"label": "kick", "pedal": 1}], meter="3/4")
    alone = [parse(plain).events.to_pylist()[0], parse(odd).events.to_pylist()[0]]
    together = parse(plain, copy.deepcopy(odd)).events.to_pylist()
    assert [{**row, "line": 0} for row in together] == alone


def test_ignored_components_are_kept_in_extra(event):
    gong = {"label": "gong", "velocity": 0.3}
    result = parse(event(source_set="lenient", components=[gong, {"label": "kick"}]))
    (row,) = result.events.to_pylist()
    assert row["labels"] == ["kick"]
    assert json.loads(row["extra"]) == {"ignored_components": [gong]}
    assert result.unknown.counts == {"gong": 1}


def test_velocity_buckets_are_those_of_the_exact_velocity(event):
    velocities = [0.0, 0.25, 0.2500001, 0.5, 0.8, 0.8000001, 1.0]
    result = parse(event(components=[{"label": "kick", "velocity": value} for value in velocities]))
    buckets = result.events.to_pylist()[0]["dynamic_buckets"]
    assert buckets == ["ghost", "ghost", "light", "light", "medium", "accent", "accent"]


def test_defect_5_every_cause_of_a_reject_is_told_apart(event):
    """Four different failures once shared one counter."""
    causes = [
        event(audio_path="/abs.wav"), event(onset_time=-1), event(components=[]), event(components=[{"label": "gong"}]),
        event(session_id=None),
    ]  # fmt: skip
    reasons = [rejection.reason for rejection in parse(*causes, event()).rejections]
    assert reasons == ["bad_path", "bad_onset", "no_components", "unknown_component", "missing_field"]
