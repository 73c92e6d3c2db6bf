import json

import pytest

from beatsight_core.manifest.parsing.checks import RejectedError, Rules, UnknownLabels, normalise_path, read_event
from beatsight_core.taxonomy import CORE

RULES = Rules(CORE, frozenset({"lenient"}))


def judge(event):
    line = event if isinstance(event, bytes) else json.dumps(event).encode()
    return read_event(line, RULES, UnknownLabels())


def refused(event):
    with pytest.raises(RejectedError) as caught:
        judge(event)
    return caught.value.reason, caught.value.message


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "bad_json"),
        (b'{"a": 1}}', "bad_json"),
        (b"nonsense", "bad_json"),
        (b'{"a": "\\ud800"}', "bad_json"),
        (b'{"a":' * 2000 + b"1" + b"}" * 2000, "bad_json"),
        (b'{"onset_time": NaN}', "bad_onset"),
        (b'{"onset_time": -Infinity}', "bad_onset"),
        (b'{"tempo_bpm": NaN}', "bad_json"),
        (b"[1]", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b"null", "not_an_object"),
        (b"12", "not_an_object"),
        (b'{"a": "\xff"}', "bad_encoding"),
        (b"\xfe\xff{\x00}", "bad_encoding"),
    ],
)
def test_lines_that_are_no_object(line, reason):
    assert refused(line)[0] == reason


@pytest.mark.parametrize(
    ("changes", "reason", "said"),
    [
        ({"event_id": None}, "missing_field", "event_id is missing"),
        ({"session_id": None, "onset_time": None}, "missing_field", "session_id, onset_time are missing"),
        ({"source_set": ""}, "missing_field", "source_set is empty"),
        ({"event_id": 12}, "wrong_type", "event_id must be a string, not 12"),
        ({"event_id": "a\nb"}, "wrong_type", "line break"),
        ({"session_id": ["s"]}, "wrong_type", "session_id"),
        ({"onset_time": "1.5"}, "wrong_type", 'onset_time must be a number, not "1.5"'),
        ({"onset_time": True}, "wrong_type", "onset_time"),
        ({"onset_time": -0.001}, "bad_onset", "not -0.001"),
        ({"onset_time": 86400.5}, "bad_onset", "0 to 86400 s"),
        ({"onset_time": 10**30}, "bad_onset", "onset_time"),
        ({"audio_path": 3}, "wrong_type", "audio_path"),
        ({"components": {"label": "kick"}}, "wrong_type", "components must be a list"),
        ({"components": []}, "no_components", "empty"),
        ({"components": ["kick"]}, "wrong_type", "components[0] must be an object"),
        ({"components": [{"label": "kick"}, {}]}, "missing_field", "components[1].label"),
        ({"components": [{"label": 3}]}, "wrong_type", "components[0].label"),
        ({"components": [{"label": "kick", "velocity": "0.5"}]}, "wrong_type", "from 0 to 1"),
        ({"components": [{"label": "kick", "velocity": 96}]}, "wrong_type", "not 96"),
        ({"components": [{"label": "kick", "openness": -0.1}]}, "wrong_type", "openness"),
        ({"components": [{"label": "kick", "dynamic_bucket": 3}]}, "wrong_type", "dynamic_bucket"),
        ({"components": [{"label": "gong"}]}, "unknown_component", '"gong"'),
        ({"techniques": "flam"}, "wrong_type", "techniques"),
        ({"techniques": ["flam", 1]}, "wrong_type", "techniques"),
        ({"is_synthetic": "yes"}, "wrong_type", "is_synthetic"),
        ({"negative_example": 1}, "wrong_type", "negative_example"),
        ({"drummer_id": {"name": "x"}}, "wrong_type", "drummer_id"),
        ({"kit_id": True}, "wrong_type", "kit_id"),
        ({"context_ms": [80, 200]}, "wrong_type", "context_ms must be an object"),
        ({"context_ms": {"pre": "80"}}, "wrong_type", "context_ms.pre"),
        ({"loudness": {"LUFS_i": "quiet"}}, "wrong_type", "loudness.LUFS_i"),
        ({"loudness": {"LUFS_i": -1e300}}, "wrong_type", "loudness.LUFS_i"),  # single precision would make it infinite
    ],
)
def test_every_fault_has_its_reason(event, changes, reason, said):
    found, message = refused(event(**changes))
    assert found == reason
    assert said in message


def test_messages_stay_short(event):
    assert len(refused(event(session_id=["x" * 10_000]))[1]) < 200
    assert len(refused(event(components=[{"label": f"gong {i}" * 50} for i in range(500)]))[1]) < 1000


def test_sample_id_serves_where_event_id_is_missing(event):
    assert judge(event(event_id=None, sample_id="x"))["event_id"] == "x"
    both = judge(event(event_id="wins", sample_id="x"))
    assert both["event_id"] == "wins"
    assert both["sample_id"] == "x"


def test_a_lenient_source_loses_only_its_unknown_components(event):
    components = [{"label": "gong"}, {"label": "kick"}]
    assert judge(event(source_set="lenient", components=components))["components"] == [{"label": "kick"}]
    assert refused(event(source_set="lenient", components=[{"label": "gong"}]))[0] == "unknown_component"


def test_unknown_labels_are_counted_in_bounded_memory():
    unknown = UnknownLabels()
    for number in range(3000):
        unknown.add(f"label {number}", "s")
    assert len(unknown.counts) <= 1001
    assert sum(unknown.counts.values()) == 3000
    other = UnknownLabels()
    other.merge(unknown)
    assert other.counts == unknown.counts


@pytest.mark.parametrize(
    ("path", "clean"),
    [
        ("a/b.wav", "a/b.wav"),
        ("./a//b.wav", "a/b.wav"),
        ("a\\b.wav", "a/b.wav"),
        ("a/x/../b.wav", "a/b.wav"),
        ("a/..b/c..wav", "a/..b/c..wav"),
        ("ünï/日本.wav", "ünï/日本.wav"),
    ],
)
def test_paths_are_normalised(path, clean):
    assert normalise_path(path) == clean
    assert normalise_path(clean) == clean


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "C:\\x.wav", "c:/x.wav", "C:x.wav", "\\\\server\\x.wav", "//server/x.wav", "../x.wav",
     "a/../../x.wav", "..\\x.wav", "a\0.wav", "", ".", "a/..", "./"],
)  # fmt: skip
def test_paths_that_leave_their_root_are_refused(path):
    with pytest.raises(RejectedError) as caught:
        normalise_path(path)
    assert caught.value.reason == "bad_path"
