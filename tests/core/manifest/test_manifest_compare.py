import copy

import pytest

from beatsight_core.manifest.compare_manifests import compare_catalogs
from beatsight_core.manifest.read_manifest import build_catalog


@pytest.fixture
def compare(settings, manifest):
    def run(before, after):
        return compare_catalogs(
            build_catalog(settings, manifest(before, "before.jsonl")),
            build_catalog(settings, manifest(after, "after.jsonl")),
        )

    return run


def test_the_same_events_in_another_order_are_the_same(compare, event):
    rows = [event() for _ in range(50)]
    found = compare(rows, rows[::-1])
    assert found.same
    assert found.unchanged == 50
    assert found.to_json()["by_source"] == {}


def test_adds_drops_and_changes_are_told_by_group(compare, event):
    stays, goes, changes = event(), event(session_id="old", techniques=["flam"]), event(source_set="enst")
    comes = event(session_id="new", components=[{"label": "kick"}, {"label": "snare"}])
    relabelled = copy.deepcopy(changes) | {"components": [{"label": "crash"}]}
    found = compare([stays, goes, changes], [comes, relabelled, stays])
    assert (found.added, found.dropped, found.changed, found.unchanged) == (1, 1, 1, 1)
    assert not found.same
    none = {"added": 0, "dropped": 0, "changed": 0}
    assert found.by_source == {"enst": none | {"changed": 1}, "groove": none | {"added": 1, "dropped": 1}}
    assert found.by_session == {
        "new": none | {"added": 1},
        "old": none | {"dropped": 1},
        "s1": none | {"changed": 1},
    }
    assert found.by_label == {
        "crash": none | {"changed": 1},
        "kick": none | {"added": 1, "dropped": 1},
        "snare": none | {"added": 1},
    }
    assert found.by_technique == {"flam": none | {"dropped": 1}}


@pytest.mark.parametrize(
    "change",
    [
        {"session_id": "t"}, {"audio_path": "b.wav"}, {"onset_time": 0.25}, {"techniques": ["a", "b"]}, {"kit_id": "k"},
        {"components": [{"label": "kick"}]}, {"components": [{"label": "kick", "velocity": 0.5, "openness": 0.5}]},
        {"is_synthetic": True}, {"tempo_bpm": 90}, {"loudness": {"LUFS_i": -20}},
        {"components": [{"label": "kick", "velocity": 0.5}] * 2},
    ],
)  # fmt: skip
def test_every_kind_of_change_is_seen(compare, event, change):
    row = event(onset_time=0.5)
    found = compare([row], [row | change])
    assert (found.changed, found.unchanged) == (1, 0)
