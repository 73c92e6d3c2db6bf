from collections import Counter
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.dataset.export import export_dataset
from beatsight_core.errors import DatasetError
from beatsight_core.health.figures.event_figures import Histogram, histogram
from beatsight_core.health.figures.leakage import Crossing, Sharing, leakage
from beatsight_core.health.figures.repeated_events import RepeatingSession
from beatsight_core.health.figures.statistics import CorpusFigures, statistics
from beatsight_core.manifest.read_manifest import build_catalog
from beatsight_core.settings import load_settings
from beatsight_core.taxonomy import CORE
from beatsight_core.typed_json import from_json, to_json

EVENTS = st.lists(
    st.tuples(
        st.integers(0, 3),  # session
        st.integers(0, 40),  # onset in steps of 20 ms: some coalesce
        st.lists(st.sampled_from(CORE.components), min_size=1, max_size=3),
        st.booleans(),  # negative example
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=15, deadline=None)
@given(drawn=EVENTS)
def test_figures_are_those_of_counting_one_by_one(drums, drawn):
    rows = [
        drums.event(f"s{session}", number, 0.02 * step, *labels, negative_example=negative)
        for number, (session, step, labels, negative) in enumerate(drawn)
    ]
    with TemporaryDirectory() as folder:
        manifest = Path(folder) / "drawn.jsonl"
        manifest.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
        own = load_settings(Path(folder) / "data", {})
        catalog = build_catalog(own, manifest)
        figures = statistics(own, catalog)
        hits = pl.read_parquet(catalog.hits_path).to_dicts()
    strokes = Counter(
        part["label"] for row in rows if not row["negative_example"] for part in row["components"]
    )  # fmt: skip
    assert {k: v for k, v in figures.events.events_by_label.items() if v} == dict(strokes)
    held = Counter(label for hit in hits for label in hit["labels"])
    classes = figures.hits.classes
    assert {label: counts.hits for label, counts in classes.items() if counts.hits} == dict(held)
    assert figures.hits.simultaneous_hits == sum(len(hit["labels"]) > 1 for hit in hits)
    for row, one in enumerate(CORE.components):
        for column, other in enumerate(CORE.components):
            both = sum({one, other} <= set(hit["labels"]) and (one != other or len(hit["labels"]) == 1) for hit in hits)
            assert figures.hits.pairs[row][column] == both
    assert [check for check in figures.reconciliation if check.gap] == []
    assert from_json(CorpusFigures, orjson.loads(orjson.dumps(to_json(figures)))) == figures


@pytest.fixture
def measured(small_settings, corpus, drums):
    manifest = corpus(drums.take("a") + drums.take("b") + drums.take("c", is_synthetic=True))
    return small_settings, build_catalog(small_settings, manifest)


def test_totals_tell_real_from_synthetic(measured):
    totals = statistics(*measured).totals
    assert (totals.events, totals.real_events, totals.synthetic_events) == (36, 24, 12)
    assert totals.hits == 36
    assert totals.simultaneous_rate == pytest.approx(0.25)
    assert totals.clip_seconds == pytest.approx(36 * 0.28)


def test_dynamics_openness_and_context_are_counted(small_settings, corpus, drums):
    hat = {"label": "hihat_open", "velocity": 0.9, "openness": 1.0}
    rows = drums.take("a", bleed_level="low", loudness={"LUFS_i": -14.2, "peak_dbfs": -1.0}, techniques=["flam"])
    rows += [{**drums.event("a", 99, 3.9), "components": [hat]}]
    events = statistics(small_settings, build_catalog(small_settings, corpus(rows))).events
    assert events.dynamics["hihat_open"]["accent"] == 1
    assert events.openness.counts == (0,) * 9 + (1,)  # 1.0 belongs to the last bin
    assert events.bleed_level == {"low": 12, "unknown": 1}
    assert events.techniques == {"flam": 12}
    assert sum(events.loudness.lufs.counts) == 12
    assert events.loudness.lufs.unknown == 1


def test_repeated_events_are_counted_and_found(small_settings, corpus, drums):
    again = [{**row, "event_id": f"again-{row['event_id']}"} for row in drums.take("b")[:3]]
    again[2]["components"] = again[2]["components"][::-1]  # the order of components does not matter
    repeated = statistics(
        small_settings, build_catalog(small_settings, corpus(drums.take("a") + drums.take("b") + again))
    )
    assert repeated.duplicates.events == 3
    assert repeated.duplicates.sessions == (RepeatingSession("takes", "b", 3),)


def test_histograms_lose_nothing_beyond_their_edges():
    frame = pl.DataFrame({"bin": [0, 2, 2, None], "len": [1, 2, 3, 4]})
    assert histogram(frame, (0, 1, 2, 3)) == Histogram((0, 1, 2, 3), (1, 0, 5), 4)


@pytest.mark.parametrize("damage", ["lost", "twice", "foreign"])
def test_a_gap_of_one_event_is_found_and_named(measured, damage):
    own, catalog = measured
    hits = pl.read_parquet(catalog.hits_path)
    first = hits["event_ids"][0].to_list()
    ids = {"lost": [], "twice": [first[0], first[0]], "foreign": ["elsewhere"]}[damage]
    changed = [ids, *hits["event_ids"].to_list()[1:]]
    hits.with_columns(pl.Series("event_ids", changed, dtype=pl.List(pl.String))).write_parquet(catalog.hits_path)
    gaps = {check.name: check for check in statistics(own, catalog).reconciliation if check.gap}
    check = gaps["events = events of all hits"]
    assert check.gap >= 1
    assert ("elsewhere" if damage == "foreign" else first[0]) in check.examples


def test_a_quarantined_line_that_vanished_is_a_gap(small_settings, corpus, drums):
    catalog = build_catalog(small_settings, corpus([*drums.take("a"), "{broken", "[]"]))
    catalog.rejected_path.write_bytes(catalog.rejected_path.read_bytes().split(b"\n", 1)[1])
    gaps = [check for check in statistics(small_settings, catalog).reconciliation if check.gap]
    assert [(check.name, check.gap) for check in gaps] == [("lines rejected = lines quarantined", 1)]


def test_a_damaged_catalog_is_an_error_with_advice(measured):
    own, catalog = measured
    catalog.hits_path.write_bytes(b"not parquet")
    with pytest.raises(DatasetError, match="delete that folder"):
        statistics(own, catalog)


def test_an_exported_dataset_is_measured_and_accounted_for(small_settings, corpus, drums):
    from beatsight_core.audio.inventory import open_inventory
    from beatsight_core.health.figures.export_figures import export_figures

    late = drums.event("a", 50, 30.0, "snare")
    manifest = corpus([*drums.take("a"), *drums.take("b"), *drums.take("gone"), late], without=("gone.wav",))
    assert export_figures(small_settings, "small") is None
    export_dataset(small_settings, manifest, workers=1)
    catalog = build_catalog(small_settings, manifest)
    export = export_figures(small_settings, catalog.key)
    assert (export.hits, export.rejected["missing_audio"], export.rejected["past_end"]) == (24, 12, 1)
    assert sum(export.levels.peak.counts) == 24
    in_catalog = pl.read_parquet(catalog.hits_path).filter(
        pl.col("audio_path") != "gone.wav", pl.col("onset_time") < 30
    )
    assert export.classes == dict(sorted(in_catalog["labels"].explode().value_counts().iter_rows()))
    inventory = open_inventory(small_settings, catalog)
    figures = statistics(small_settings, catalog, inventory, export)
    assert [check for check in figures.reconciliation if check.gap] == []
    fewer = replace(export.by_source["takes"], hits=export.by_source["takes"].hits - 1)
    changed = statistics(small_settings, catalog, inventory, replace(export, by_source={"takes": fewer}))
    gaps = [check for check in changed.reconciliation if check.gap]
    assert [(check.name, check.gap) for check in gaps] == [("hits of takes = exported + rejected", 1)]


def test_defect_11_validation_that_shares_drummers_and_kits_with_training_is_told():
    sessions = pl.DataFrame(
        {
            "source_set": ["x"] * 4, "session_id": ["a", "b", "c", "c"], "audio_path": ["a", "b", "c", "c"],
            "split_group": ["a", "b", "c", "c"], "drummer_id": ["ann", "ann", "bob", "bob"],
            "kit_id": ["k1", "k2", "k3", "k3"], "room_id": [None] * 4,
            "split": ["train", "val", "val", "calibration"], "len": [10, 4, 3, 2],
        },
        schema_overrides={"room_id": pl.String},
    )  # fmt: skip
    found = leakage(sessions)
    assert found.sessions == Crossing(across=1, examples=("c",), different=3)
    assert found.audio.across == 1
    assert found.drummers == Sharing(
        different=2, across=2, val_hits=7, val_hits_shared=7, examples=("ann", "bob")
    )  # fmt: skip
    assert found.kits.examples == ("k3",)
    assert found.rooms.different == 0
