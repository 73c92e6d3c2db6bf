"""Where every event went: whole lists that add up, and a gap of one found, named and listed at each stage."""

from collections import Counter
from dataclasses import replace

import numpy as np
import orjson
import polars as pl
import pyarrow.parquet as pq
import pytest
import soundfile as sf

from beatsight_core.audio.inventory import open_inventory
from beatsight_core.dataset.export import export_dataset
from beatsight_core.dataset.index import commit_index, index_paths, read_index
from beatsight_core.dataset.shards.shard_schema import shard_name
from beatsight_core.health.corpus_gates import evaluate_gates
from beatsight_core.health.figures.event_account import account_for_events
from beatsight_core.health.figures.export_figures import export_figures
from beatsight_core.health.figures.statistics import statistics
from beatsight_core.health.report import run_health
from beatsight_core.manifest.read_manifest import build_catalog

WITHOUT = ("gone.wav",)
EVENTS = "events of takes = in clips + lost for a reason"


@pytest.fixture
def troubled(small_settings, corpus, drums):
    """A manifest whose events come to every end: in a clip, refused, missing, unreadable, beyond the end, silent."""
    late = [drums.event("a", 50 + number, 30.0 + number, "snare") for number in range(2)]
    rows = [row for name in ("a", "b", "gone", "broken", "mute") for row in drums.take(name)]
    manifest = corpus([*rows, *late, "{broken", rows[0]], without=WITHOUT)
    (small_settings.data_root / "raw/takes/broken.wav").write_bytes(b"this is no audio")
    sf.write(small_settings.data_root / "raw/takes/mute.wav", np.zeros(64000), 16000, subtype="PCM_16")
    return manifest


def report_of(own, manifest):
    path = run_health(own, manifest).report_json
    return orjson.loads(path.read_bytes()), path.parent


def lines_of(folder, name):
    return [orjson.loads(line) for line in (folder / name).read_bytes().splitlines()]


def gaps(report):
    return {check["name"]: check for check in report["statistics"]["reconciliation"] if check["gap"]}


def test_every_line_of_the_manifest_went_somewhere_and_each_number_has_its_list(small_settings, troubled):
    export_dataset(small_settings, troubled, workers=1)
    report, folder = report_of(small_settings, troubled)
    went = report["statistics"]["whereabouts"]
    assert went == {
        "refused": 2, "missing_audio": 12, "unreadable_audio": 12, "truncated_audio": 0, "past_end": 2,
        "silent_audio": 12, "opposite_polarity": 0, "not_exported": 0, "in_clips": 24,
    }  # fmt: skip
    assert sum(went.values()) == report["statistics"]["totals"]["read"] == 64
    assert gaps(report) == {}
    lost = lines_of(folder, "lost_events.jsonl")
    assert Counter(row["reason"] for row in lost) == {
        "missing_audio": 12, "unreadable_audio": 12, "past_end": 2, "silent_audio": 12,
    }  # fmt: skip
    assert {row["event_id"] for row in lost if row["reason"] == "past_end"} == {"a-50", "a-51"}
    assert {row["audio_path"] for row in lost if row["reason"] == "silent_audio"} == {"mute.wav"}
    assert len(lines_of(folder, "refused_lines.jsonl")) == 2
    assert not (folder / "at_fault.jsonl").exists()
    listed = {entry["file"]: entry["lines"] for entry in report["lists"]}
    assert listed == {"refused_lines.jsonl": 2, "lost_events.jsonl": 38}
    assert "lost_events.jsonl" in (folder / "report.html").read_text()


def test_before_an_export_the_inventory_says_what_would_be_lost(small_settings, troubled):
    report, folder = report_of(small_settings, troubled)
    went = report["statistics"]["whereabouts"]
    assert (went["missing_audio"], went["unreadable_audio"], went["past_end"]) == (12, 12, 2)
    assert went["with_audio"] == 36  # nobody has heard yet that one file is silent
    assert sum(went.values()) == 64
    assert gaps(report) == {}
    assert len(lines_of(folder, "lost_events.jsonl")) == 26


def test_two_reasons_in_one_file_are_told_apart(small_settings, corpus, drums):
    """The first second sounds, the rest is silent, and some strokes lie beyond the end."""
    late = [drums.event("a", 50 + number, 30.0 + number, "snare") for number in range(3)]
    manifest = corpus([*drums.take("a"), *late])
    audio = np.zeros(64000)
    audio[:16000] = 0.1 * np.random.default_rng(0).normal(size=16000)
    sf.write(small_settings.data_root / "raw/takes/a.wav", audio, 16000, subtype="PCM_16")
    export_dataset(small_settings, manifest, workers=1)
    report, folder = report_of(small_settings, manifest)
    reasons = {row["event_id"]: row["reason"] for row in lines_of(folder, "lost_events.jsonl")}
    assert {name for name, reason in reasons.items() if reason == "past_end"} == {"a-50", "a-51", "a-52"}
    silent = [name for name, reason in reasons.items() if reason == "silent_audio"]
    assert silent == [f"a-{number}" for number in range(3, 12)]
    assert gaps(report) == {}


def test_lists_of_the_last_report_that_are_empty_now_are_gone(small_settings, corpus, drums):
    manifest = corpus(drums.take("a") + drums.take("gone"), without=WITHOUT)
    _, folder = report_of(small_settings, manifest)
    assert len(lines_of(folder, "lost_events.jsonl")) == 12
    drums.write_audio(small_settings, "gone.wav")
    report, _ = report_of(small_settings, manifest)
    assert report["lists"] == []
    assert {path.name for path in folder.iterdir()} == {"report.json", "report.html"}


@pytest.fixture
def exported(small_settings, corpus, drums):
    manifest = corpus([*drums.take("a"), *drums.take("b"), *drums.take("gone")], without=WITHOUT)
    export_dataset(small_settings, manifest, workers=1)
    return small_settings, manifest


def checked(own, catalog):
    """Gaps by name, of the catalog as it lies on disk; and the names of the gates that fail for them."""
    inventory = open_inventory(own, catalog)
    export, account = export_figures(own, catalog.key), account_for_events(own, catalog, inventory)
    figures = statistics(own, catalog, inventory, export, None, account)
    failed = {gate.name for gate in evaluate_gates(figures, own.gates) if not gate.passed}
    found = {check.name: check for check in figures.reconciliation if check.gap}
    assert set(found) <= failed
    return found


def _lose_an_event(catalog):
    pl.read_parquet(catalog.events_path)[1:].write_parquet(catalog.events_path)


def _lose_an_event_of_a_hit(catalog):
    hits = pl.read_parquet(catalog.hits_path)
    ids = [[], *hits["event_ids"].to_list()[1:]]
    hits.with_columns(pl.Series("event_ids", ids, pl.List(pl.String))).write_parquet(catalog.hits_path)


def _lose_a_hit(catalog):
    pl.read_parquet(catalog.hits_path)[1:].write_parquet(catalog.hits_path)


def _lose_an_event_of_the_inventory(catalog):
    path = catalog.folder / "inventory.parquet"
    files = pl.read_parquet(path)
    files.with_columns(events=pl.col("events") - (pl.int_range(pl.len()) == 0).cast(pl.Int64)).write_parquet(path)


STAGES = {
    "events kept = rows of events": _lose_an_event,
    "events = events of all hits": _lose_an_event_of_a_hit,
    "hits counted = rows of hits": _lose_a_hit,
    "events = events of the audio inventory": _lose_an_event_of_the_inventory,
}


@pytest.mark.parametrize("name", STAGES)
def test_one_event_lost_between_two_tables_fails_by_name(exported, name):
    own, manifest = exported
    catalog = build_catalog(own, manifest)
    assert checked(own, catalog) == {}
    STAGES[name](catalog)
    assert checked(own, catalog)[name].gap >= 1


def shard_of(own, manifest):
    key = build_catalog(own, manifest).key
    (path,) = index_paths(own, key)
    index = read_index(path)
    return index, own.shards_dir / shard_name(index.shards[0].digest)


@pytest.mark.parametrize(("rows", "fault"), [([*range(1, 24)], "lost"), ([0, *range(24)], "repeated")])
def test_a_clip_lost_or_repeated_fails_and_its_event_is_listed(exported, rows, fault):
    own, manifest = exported
    _, path = shard_of(own, manifest)
    table = pq.read_table(path)
    first = table["event_ids"][0].as_py()[0]
    pq.write_table(table.take(rows), path)
    report, folder = report_of(own, manifest)
    assert gaps(report)[EVENTS]["examples"] == [first]
    assert lines_of(folder, "at_fault.jsonl") == [{"event_id": first, "fault": fault}]
    failed = [gate["name"] for gate in report["gates"] if not gate["passed"]]
    assert EVENTS in failed


def test_an_event_that_is_not_the_catalogs_is_foreign(exported):
    own, manifest = exported
    _, path = shard_of(own, manifest)
    table = pl.read_parquet(path)
    ids = [["elsewhere"], *table["event_ids"].to_list()[1:]]
    table.with_columns(pl.Series("event_ids", ids, pl.List(pl.String))).write_parquet(path)
    report, folder = report_of(own, manifest)
    assert gaps(report)[EVENTS]["gap"] == 2  # the one that is there, and the one that is not
    assert {row["fault"] for row in lines_of(folder, "at_fault.jsonl")} == {"lost", "foreign"}


def test_a_lost_hit_that_the_index_gives_no_reason_for_is_a_gap(exported):
    own, manifest = exported
    index, _ = shard_of(own, manifest)
    (entry,) = index.rejected_files
    fewer = replace(entry, hits=entry.hits - 1, events=entry.events - 1)
    commit_index(own, replace(index, rejected_files=(fewer,), rejected={"missing_audio": 11}))
    report, folder = report_of(own, manifest)
    assert gaps(report)[EVENTS]["gap"] == 1
    assert [row["reason"] for row in lines_of(folder, "lost_events.jsonl")].count("unaccounted") == 1
    assert gaps(report)["lines read = refused + lost for a reason + in clips"]["gap"] == 1


def test_a_source_set_that_was_not_exported_is_counted_and_fails(small_settings, corpus, drums):
    other = [{**row, "source_set": "other", "session_id": "o", "event_id": f"o{i}"} for i, row in
             enumerate(drums.take("o", 5))]  # fmt: skip
    manifest = corpus([*drums.take("a"), *drums.take("b"), *other])
    export_dataset(small_settings, manifest, source_sets=["takes"], workers=1)
    report, folder = report_of(small_settings, manifest)
    assert report["statistics"]["whereabouts"]["not_exported"] == 5
    assert lines_of(folder, "not_exported.jsonl") == [
        {"source_set": "other", "audio_path": "o.wav", "hits": 5, "events": 5}
    ]
    assert set(gaps(report)) == {"hits of other = exported + rejected"}
    export_dataset(small_settings, manifest, workers=1)
    assert gaps(report_of(small_settings, manifest)[0]) == {}
