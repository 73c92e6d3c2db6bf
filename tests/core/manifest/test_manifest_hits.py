import hashlib
import itertools
import math
import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.manifest.events import EVENT_SCHEMA
from beatsight_core.manifest.hits import HitRules, coalesce, first_events
from beatsight_core.taxonomy import CORE

RULES = HitRules(CORE, {"wide": 50.0}, {"wide": "CC-BY"})
COUNTER = itertools.count()


def make(**changes):
    number = next(COUNTER)
    row = {
        "line": number, "event_id": f"e{number}", "session_id": "s", "source_set": "groove", "audio_path": "a.wav",
        "onset_time": 1.0, "labels": ["kick"], "techniques": [], "is_synthetic": False, "negative_example": False,
    } | changes  # fmt: skip
    count = len(row["labels"])
    return {"velocities": [0.5] * count, "openness": [None] * count, "dynamic_buckets": [None] * count} | row


def hits_of(rows, rules=RULES):
    return coalesce(pa.Table.from_pylist(rows, schema=EVENT_SCHEMA), rules).to_pylist()


@given(st.permutations(CORE.components))
@settings(max_examples=30, deadline=None)
def test_defect_4_the_labels_of_a_hit_are_in_class_order_whatever_comes_first(labels):
    together = hits_of([make(labels=[label]) for label in labels])
    assert [hit["labels"] for hit in together] == [list(CORE.components)]
    (within,) = hits_of([make(labels=list(labels))])
    assert within["labels"] == list(CORE.components)


def microseconds(onset):
    return math.floor(onset * 1e6 + 0.5)


def reference(rows, rules=RULES):
    """The definition, an event at a time."""
    hits = []
    ordered = sorted(rows, key=lambda row: (row["source_set"], row["audio_path"], row["onset_time"], row["event_id"]))
    for (source, path), group in itertools.groupby(ordered, lambda row: (row["source_set"], row["audio_path"])):
        window = microseconds(rules.windows_ms.get(source, rules.window_ms) / 1000)
        groups = []
        for row in group:
            onset = microseconds(row["onset_time"])
            if groups and onset - microseconds(groups[-1][0]["onset_time"]) <= window:
                groups[-1].append(row)
            else:
                groups.append([row])
        onsets = [members[0]["onset_time"] for members in groups]
        for place, members in enumerate(groups):
            hits.append(reference_hit(members) | {
                "source_set": source,
                "audio_path": path,
                "previous_gap": onsets[place] - onsets[place - 1] if place else None,
                "next_gap": onsets[place + 1] - onsets[place] if place + 1 < len(onsets) else None,
            })  # fmt: skip
    return hits


def reference_hit(members):
    ids = sorted(row["event_id"] for row in members)
    strokes = {}
    for row in members:
        if not row["negative_example"]:
            for label, velocity, openness in zip(row["labels"], row["velocities"], row["openness"], strict=True):
                strokes.setdefault(label, []).append((velocity, openness))
    labels = sorted(strokes, key=CORE.components.index)
    stated = {
        label: [pair for pair in strokes[label] if pair[1] is not None]
        for label in labels
    }  # fmt: skip
    loud = lambda pair: -1.0 if pair[0] is None else pair[0]  # noqa: E731
    return {
        "hit_id": hashlib.sha256("\n".join(ids).encode()).hexdigest()[:20],
        "event_ids": ids,
        "session_id": members[0]["session_id"],
        "onset_time": members[0]["onset_time"],
        "labels": labels,
        "velocities": [max(strokes[label], key=loud)[0] for label in labels],
        "openness": [max(stated[label], key=loud)[1] if stated[label] else None for label in labels],
        "techniques": sorted({name for row in members for name in row["techniques"]}),
        "is_synthetic": any(row["is_synthetic"] for row in members),
    }


levels = st.sampled_from([None, 0.25, 0.5, 1.0])
rows = st.lists(
    st.builds(
        lambda labels, **rest: make(labels=labels, **rest),
        session_id=st.sampled_from(["s", "t"]),
        source_set=st.sampled_from(["groove", "wide"]),
        audio_path=st.sampled_from(["a.wav", "b.wav"]),
        onset_time=st.integers(0, 200).map(lambda number: number / 1000),
        labels=st.lists(st.sampled_from(["kick", "snare", "hihat_open"]), min_size=1, max_size=3),
        techniques=st.lists(st.sampled_from(["flam", "bark"]), max_size=2),
        is_synthetic=st.booleans(),
        negative_example=st.booleans(),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(rows, st.randoms(use_true_random=False))
def test_hits_are_those_of_the_definition_in_any_order_of_lines(events, source):
    for event in events:
        event["velocities"] = [source.choice([None, 0.25, 0.5, 1.0]) for _ in event["labels"]]
        event["openness"] = [source.choice([None, 0.0, 0.5]) for _ in event["labels"]]
    expected = reference(events)
    source.shuffle(events)
    found = hits_of(events)
    assert [{key: hit[key] for key in expected[0]} for hit in found] == expected


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=200), st.integers(0, 40))
def test_the_window_counts_from_the_first_onset_of_a_hit(steps, window):
    times = np.cumsum(np.array(steps, np.int64))
    expected, first = [], None
    for place, time in enumerate(times.tolist()):
        if first is None or time - first > window:
            expected.append(place)
            first = time
    count = len(times)
    found = first_events(np.zeros(count, np.int64), times, np.full(count, window))
    assert found.tolist() == expected


def test_defect_1_events_struck_together_become_one_hit_with_all_components():
    """The old export wrote the same audio once per component, each time under a single label."""
    hits = hits_of([
        make(onset_time=1.000, labels=["snare"]),
        make(onset_time=1.004, labels=["hihat_closed"]),
        make(onset_time=1.030, labels=["kick"]),
        make(onset_time=1.031, labels=["crash"]),
    ])  # fmt: skip
    assert [hit["labels"] for hit in hits] == [["kick", "snare", "hihat_closed"], ["crash"]]
    assert [hit["onset_time"] for hit in hits] == [1.0, 1.031]


@pytest.mark.parametrize(
    ("second", "together"), [(0.03, True), (0.0300004, True), (0.0300006, False), (0.030001, False)]
)
def test_onsets_are_compared_in_whole_microseconds(second, together):
    assert len(hits_of([make(onset_time=0.0), make(onset_time=second)])) == (1 if together else 2)


def test_the_window_is_that_of_the_source_set():
    pair = [0.0, 0.045]
    assert len(hits_of([make(onset_time=onset) for onset in pair])) == 2
    assert len(hits_of([make(onset_time=onset, source_set="wide") for onset in pair])) == 1


def test_a_hit_of_negative_examples_has_no_label():
    kick, snare = make(labels=["kick"]), make(labels=["snare"], negative_example=True, onset_time=2.0)
    assert [hit["labels"] for hit in hits_of([kick, snare])] == [["kick"], []]
    assert hits_of([kick, snare | {"onset_time": 1.0}])[0]["labels"] == ["kick"]


def test_what_the_first_event_does_not_state_the_next_one_may():
    first = make(session_id="s1", kit_id="k", onset_time=1.0)
    second = make(session_id="s2", drummer_id="d", kit_id="other", licence="CC0", onset_time=1.01)
    (hit,) = hits_of([second, first])
    assert (hit["session_id"], hit["kit_id"], hit["drummer_id"], hit["room_id"]) == ("s1", "k", "d", None)
    assert hit["licence"] == "CC0"


def test_the_licence_is_the_events_else_the_source_sets_else_unknown():
    hits = hits_of([make(), make(source_set="wide"), make(source_set="wide", audio_path="b", licence="CC0")])
    assert [hit["licence"] for hit in hits] == ["unknown", "CC-BY", "CC0"]


def test_no_events_no_hits():
    assert hits_of([]) == []


def test_a_long_file_of_dense_events_is_cut_like_the_definition():
    source = random.Random(3)
    events = [make(onset_time=source.random() * 20) for _ in range(5000)]
    assert [hit["event_ids"] for hit in hits_of(events)] == [hit["event_ids"] for hit in reference(events)]
