"""What each source set looks like beside the others: splits, gaps, levels, copies; and the page that shows it."""

import html.parser
import shutil
from collections import Counter

import orjson
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.dataset.export import export_dataset
from beatsight_core.gates.record import HEALTH_REPORT, is_sealed
from beatsight_core.health.figures.split_balance import ENOUGH, balance, unvalidated
from beatsight_core.health.page import class_examples as health_examples
from beatsight_core.health.report import run_health
from beatsight_core.manifest.splits import split_of_group
from beatsight_core.taxonomy import CORE, MIN_POSITIVES

NASTY = (
    "<script>alert('x')</script>", "\"double\" 'single' & <b>bold</b>", "x" * 300, "مصدر \u202eأصوات",
)  # fmt: skip


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.sources = Counter(), set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes |= {name for name, _ in attrs}
        self.sources += [value for name, value in attrs if name in ("src", "href")]


def named(own, split):
    """A session's name that falls into a split."""
    return next(name for name in (f"s{n}" for n in range(200)) if split_of_group(name, own.dataset) == split)


def report_of(own, manifest):
    result = run_health(own, manifest)
    return orjson.loads(result.report_json.read_bytes()), result.report_html.read_text()


COUNTS = st.lists(
    st.tuples(
        st.sampled_from("xyz"), st.sampled_from(CORE.components), st.sampled_from(["train", "val", "calibration"]),
        st.integers(1, 200),
    ),
    max_size=30,
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(COUNTS)
def test_the_balance_counts_every_hit_once(drawn):
    frame = pl.DataFrame(drawn, schema={"source_set": pl.String, "label": pl.String, "split": pl.String,
                                        "len": pl.Int64}, orient="row")  # fmt: skip
    rows = balance(frame, CORE, 0.1)
    assert sum(row.hits for row in rows) == sum(hits for *_, hits in drawn)
    for row in rows:
        assert row.hits == row.train + row.val + row.calibration > 0
        assert row.deviation == pytest.approx(row.val / row.hits - 0.1)
    assert [(row.source, CORE.index[row.label]) for row in rows] == sorted(
        {(source, CORE.index[label]) for source, label, *_ in drawn}
    )
    lacking = {(source, label) for source, labels in unvalidated(rows).items() for label in labels}
    assert lacking == {(row.source, row.label) for row in rows if row.hits >= ENOUGH and row.val == 0}


@pytest.fixture
def two_sources(small_settings, corpus, drums):
    """Two source sets: one of sparse strokes, one of dense ones; each with training and validation."""
    train, val = named(small_settings, "train"), named(small_settings, "val")
    other = [
        {**row, "source_set": "dense", "session_id": f"{split}2", "event_id": f"d{split}{number}",
         "audio_path": f"{split}2.wav", "onset_time": 0.2 + 0.1 * number}
        for split in (train, val) for number, row in enumerate(drums.take(split))
    ]  # fmt: skip
    manifest = corpus([*drums.take(train), *drums.take(val), *other])
    for number, (path, source) in enumerate([(train, "takes"), (val, "takes"), (f"{train}2", "dense"),
                                             (f"{val}2", "dense")]):  # fmt: skip
        drums.write_audio(small_settings, f"{path}.wav", source, 4.0 + 0.1 * number)  # each another content
    export_dataset(small_settings, manifest, workers=1)
    return small_settings, manifest, (train, val)


def test_figures_of_source_sets_add_up_to_those_of_all(two_sources):
    own, manifest, _ = two_sources
    figures = report_of(own, manifest)[0]["statistics"]
    hits, levels = figures["hits"], figures["export"]["levels"]
    for name in ("counts", "unknown"):
        both = [hits["gaps_by_source"][source][name] for source in ("dense", "takes")]
        whole = [sum(pair) for pair in zip(*both, strict=True)] if name == "counts" else sum(both)
        assert whole == hits["gaps"][name]
    assert hits["gaps_by_source"]["dense"]["counts"] != hits["gaps_by_source"]["takes"]["counts"]
    for kind in ("peak", "rms"):
        both = [levels["by_source"][source][kind]["counts"] for source in ("dense", "takes")]
        assert [sum(pair) for pair in zip(*both, strict=True)] == levels[kind]["counts"]
    assert {source: one["labelled"] for source, one in levels["by_source"].items()} == {"dense": 24, "takes": 24}
    for label, counts in hits["classes"].items():
        mine = [row for row in hits["balance"] if row["label"] == label]
        assert sum(row["hits"] for row in mine) == counts["hits"]
        assert sum(row["val"] for row in mine) == counts["by_split"]["val"]


def test_one_recording_on_both_sides_of_the_split_is_told(two_sources):
    own, manifest, (train, val) = two_sources
    audio = own.data_root / "raw/takes"
    shutil.copy(audio / f"{train}.wav", audio / f"{val}.wav")
    export_dataset(own, manifest, workers=1)
    report, page = report_of(own, manifest)
    copies = report["statistics"]["leakage"]["copies"]
    assert copies["across"] == 1
    assert copies["val_hits_shared"] == 12
    assert copies["examples"] == [", ".join(sorted([f"takes/{train}.wav (train)", f"takes/{val}.wav (val)"]))]
    told = [notice for notice in report["notices"] if "validate under one name" in notice["text"]]
    assert [notice["state"] for notice in told] == ["warn"]
    assert "validate under one name" in page
    assert report["passed"]


def test_without_copies_nothing_is_told(two_sources):
    own, manifest, _ = two_sources
    report, _ = report_of(own, manifest)
    copies = report["statistics"]["leakage"]["copies"]
    assert (copies["across"], copies["different"]) == (0, 4)
    assert not any("validate under one name" in notice["text"] for notice in report["notices"])


def test_classes_that_too_few_hits_validate_are_told_with_their_number(small_settings, corpus, drums):
    train, val = named(small_settings, "train"), named(small_settings, "val")
    many = [drums.event(val, 100 + n, 0.2 + 0.05 * n, "snare") for n in range(MIN_POSITIVES)]
    report, page = report_of(small_settings, corpus([*many, *drums.take(train), *drums.take(val)]))
    classes = report["statistics"]["hits"]["classes"]
    validated = {label: classes[label]["by_split"]["val"] for label in CORE.components}
    rare = [f"{label} ({hits})" for label, hits in validated.items() if 0 < hits < MIN_POSITIVES]
    assert validated["snare"] >= MIN_POSITIVES
    assert "crash (3)" in rare
    said = f"Fewer than {MIN_POSITIVES} validation hits hold {', '.join(rare)}: "
    assert [notice["state"] for notice in report["notices"] if notice["text"].startswith(said)] == ["warn"]
    assert said in page


def test_a_class_of_a_source_that_is_never_validated_is_told(small_settings, corpus, drums):
    train, val = named(small_settings, "train"), named(small_settings, "val")
    many = [drums.event(train, 100 + n, 0.2 + 0.05 * n, "china") for n in range(ENOUGH)]
    report, _ = report_of(small_settings, corpus([*many, *drums.take(train), *drums.take(val)]))
    assert any(notice["text"] == "No validation hit of takes holds china." for notice in report["notices"])


def test_the_page_lets_hear_each_class_and_stays_under_its_cap(two_sources, monkeypatch):
    own, manifest, _ = two_sources
    _, text = report_of(own, manifest)
    page = Page(text)
    assert page.tags["audio"] == page.tags["img"] == 2 * 4  # four classes occur
    assert all(source.startswith(("data:", "#")) for source in page.sources)
    assert len(text) < health_examples.SOUND_BYTES * 4 / 3 + 500_000
    order = [text.index(f">{label}</bdi>") for label in CORE.components]
    assert order == sorted(order)
    monkeypatch.setattr(health_examples, "SOUND_BYTES", 40_000)
    assert 1 <= Page(report_of(own, manifest)[1]).tags["audio"] < 8


def test_hostile_names_are_shown_on_every_part_of_the_page_and_never_run(small_settings, corpus, drums):
    rows = []
    for number, name in enumerate(NASTY):
        for split in ("train", "val"):
            path = f"{number}{split}.wav"
            fields = {"source_set": name, "session_id": f"{name[:20]} {split}", "audio_path": path}
            rows += [{**row, **fields, "event_id": f"{path}{row['event_id']}"} for row in drums.take(path, 6)]
    gone = f"{len(NASTY) - 1}val.wav"
    manifest = corpus(rows, without=tuple(f"{n}{split}.wav" for n in range(len(NASTY)) for split in ("train", "val")))
    for row in rows:
        if row["audio_path"] != gone:
            drums.write_audio(small_settings, row["audio_path"], ".")
    export_dataset(small_settings, manifest, workers=1)
    report, text = report_of(small_settings, manifest)
    page = Page(text)
    assert is_sealed(report, HEALTH_REPORT.seal)
    assert page.tags["script"] == 0
    assert not any(name.startswith("on") for name in page.attributes)
    assert all(source.startswith(("data:", "#")) for source in page.sources)
    assert "&lt;script&gt;" in text
    assert "lost_events.jsonl" in text
