import json
from collections import Counter

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from beatsight_core.errors import SettingsError
from beatsight_core.manifest.read_manifest import build_catalog
from beatsight_core.manifest.sampling import (
    METADATA,
    SESSION_SCHEMA,
    SamplingProfile,
    SourceSampling,
    load_profile,
    read_sampling,
    weigh,
)
from beatsight_core.manifest.sessions import SessionPart, SessionParts, count_sessions
from beatsight_core.settings import load_settings

PROFILE = load_profile("prod_combined")


def weights_of(settings, path, profile=PROFILE):
    table = weigh(count_sessions(build_catalog(settings, path).events_path), profile)
    return {row["session_id"]: row for row in table.iter_rows(named=True)}


def session(event, name, count, **rest):
    return [event(session_id=name, onset_time=float(number), **rest) for number in range(count)]


def test_the_weight_is_a_power_of_the_events_within_limits(settings, manifest, event):
    rows = [
        *session(event, "short", 1), *session(event, "middle", 16), *session(event, "long", 700),
        *session(event, "stems", 4, source_set="slakh2100"), *session(event, "rare", 200, source_set="enst_drums"),
    ]  # fmt: skip
    found = weights_of(settings, manifest(rows))
    assert {name: row["weight"] for name, row in found.items()} == {
        "short": 0.5,
        "middle": 0.25,
        "long": 0.05,
        "stems": 0.2,
        "rare": 0.075,
    }
    assert (found["long"]["events"], found["long"]["counted"]) == (700, 512)


def test_repeats_of_a_stroke_count_once(settings, manifest, event):
    again = [event(session_id="s", onset_time=float(number // 4)) for number in range(64)]
    (row,) = weights_of(settings, manifest(again)).values()
    assert (row["events"], row["duplicates"], row["counted"], row["weight"]) == (64, 48, 16, 0.25)


def test_only_so_many_events_of_a_file_count(settings, manifest, event):
    kind = {"source_set": "groove_mididataset"}
    rows = session(event, "s", 300, audio_path="a", **kind) + [
        event(session_id="s", onset_time=1000.0 + number, audio_path="b", **kind) for number in range(10)
    ]
    assert weights_of(settings, manifest(rows))["s"]["counted"] == 266


def test_boosted_techniques_weigh_more(settings, manifest, event):
    rows = [
        event(onset_time=1.0), event(onset_time=2.0, techniques=["hihat_bark"]),
        event(onset_time=3.0, techniques=["flam"]),
        event(onset_time=4.0, techniques=["crash_dual_label", "hihat_bark"]),
    ]  # fmt: skip
    catalog = build_catalog(settings, manifest(rows))
    weights = read_sampling(settings, catalog).hit_weights(pl.read_parquet(catalog.hits_path))
    assert weights.tolist() == pytest.approx([0.5, 0.5 * 1.75, 0.5, 0.5 * 1.85])


def test_profiles_are_data(settings, manifest, event):
    profile = SamplingProfile("flat", SourceSampling(exponent=0.0, least=1.0, most=1.0))
    assert weights_of(settings, manifest(session(event, "s", 9)), profile)["s"]["weight"] == 1.0
    assert PROFILE.source("slakh2100") == SourceSampling(-0.5, 0.05, 0.2, 512)
    assert PROFILE.source("anything") == SourceSampling(-0.5, 0.05, 0.5, 512)
    with pytest.raises(SettingsError, match="prod_combined"):
        load_profile("absent")


def test_the_weights_lie_beside_the_catalog_and_follow_settings(data_root, manifest, event):
    path = manifest(session(event, "long", 400) + session(event, "short", 4, source_set="enst"))
    catalog = build_catalog(load_settings(data_root), path)
    table = pq.read_table(catalog.sessions_path)
    assert table.schema.equals(SESSION_SCHEMA)
    assert table.select(["session_id", "events", "counted", "weight", "files"]).to_pylist() == [
        {"session_id": "short", "events": 4, "counted": 4, "weight": 0.5, "files": ["a/take.wav"]},
        {"session_id": "long", "events": 400, "counted": 400, "weight": 0.05, "files": ["a/take.wav"]},
    ]
    said = json.loads(table.schema.metadata[METADATA])
    assert (said["name"], said["boosts"]["hihat_bark"]) == ("prod_combined", 0.75)
    events = catalog.events_path.stat().st_mtime_ns
    (data_root / "beatsight.toml").write_text("[sources.groove.sampling]\nevents_per_file = 100\nmost = 0.09\n")
    sampling = read_sampling(load_settings(data_root), build_catalog(load_settings(data_root), path))
    assert sampling.sessions["weight"].to_list() == [0.5, 0.09]
    assert pq.read_table(catalog.sessions_path)["counted"].to_pylist() == [4, 100]
    assert catalog.events_path.stat().st_mtime_ns == events
    assert sampling.by_source()["groove"]["counted"] == 100


@pytest.mark.parametrize("place", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_damaged_file_of_weights_is_made_again(settings, manifest, event, place):
    catalog = build_catalog(settings, manifest([*session(event, "a", 5), *session(event, "b", 7)]))
    whole = catalog.sessions_path.read_bytes()
    raw = bytearray(whole)
    raw[int(len(raw) * place)] ^= 0x10
    catalog.sessions_path.write_bytes(raw)
    expected = ["a", "b"]
    assert read_sampling(settings, catalog).sessions["session_id"].to_list() == expected
    catalog.sessions_path.unlink()
    read_sampling(settings, catalog)
    assert catalog.sessions_path.read_bytes() == whole


@pytest.mark.parametrize("values", ["foo = 1", "least = 0.6", "events_per_file = 0"])
def test_wrong_values_are_settings_errors(data_root, manifest, event, values):
    (data_root / "beatsight.toml").write_text(f"[sources.groove.sampling]\n{values}\n")
    with pytest.raises(SettingsError, match=r"sources\.groove\.sampling"):
        build_catalog(load_settings(data_root), manifest([event()]))


@examples(max_examples=60, deadline=None)
@given(st.data())
def test_parts_of_sessions_do_not_depend_on_order_or_chunks(data):
    names = st.sampled_from(["a", "b", "c"])
    rows = data.draw(st.lists(st.tuples(names, names, names, st.integers(0, 3), st.integers(1, 3)), min_size=1))
    different = {}
    for source, name, path, onset, bits in rows:
        key = (name, onset, bits)
        different[key] = min(different.get(key, (source, name, path)), (source, name, path))
    events = Counter((source, name, path) for source, name, path, _, _ in rows)
    expected = [SessionPart(*place, events[place], list(different.values()).count(place)) for place in sorted(events)]
    rows = data.draw(st.permutations(rows))
    cut = data.draw(st.integers(0, len(rows)))
    parts = SessionParts()
    for chunk in (rows[:cut], rows[cut:]):
        if chunk:
            columns = dict(
                zip(
                    ("source_set", "session_id", "audio_path", "onset_time", "bits"),
                    zip(*chunk, strict=True),
                    strict=True,
                )
            )
            nothing = dict.fromkeys(("drummer_id", "kit_id", "room_id"), pa.nulls(len(chunk), pa.string()))
            texts = {
                name: pa.array(columns[name]).dictionary_encode() for name in ("source_set", "session_id", "audio_path")
            }
            batch = pa.RecordBatch.from_pydict(
                {**texts, **nothing, "onset_time": pa.array(map(float, columns["onset_time"]))}
            )
            parts.add(batch, np.array(columns["bits"], np.uint64))
    assert parts.parts() == expected
