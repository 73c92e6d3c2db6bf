import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from beatsight_core.errors import DatasetError, ManifestError, StorageError, UsageError
from beatsight_core.leftovers import host_mark
from beatsight_core.manifest import read_manifest as reader
from beatsight_core.manifest.events import EVENT_SCHEMA, HIT_SCHEMA
from beatsight_core.manifest.hits import HitRules, coalesce
from beatsight_core.manifest.parsing import lines, spill
from beatsight_core.manifest.read_manifest import build_catalog, manifest_key, open_catalog, resolve_manifest
from beatsight_core.progress import SilentProgress
from beatsight_core.settings import load_settings
from beatsight_core.taxonomy import CORE


def rejected(catalog):
    return [json.loads(line) for line in catalog.rejected_path.read_bytes().splitlines()]


def files_of(catalog):
    return {path.name: path.read_bytes() for path in catalog.folder.iterdir() if path.name != "summary.json"}


def build_elsewhere(data_root, path, before="pass", after="pass"):
    """Start a build in another process."""
    code = f"""
import time
from beatsight_core.manifest import catalog_making, intake
from beatsight_core.manifest import read_manifest as reader
from beatsight_core.progress import SilentProgress
from beatsight_core.settings import load_settings
{before}
if __name__ == "__main__":
    reader.build_catalog(load_settings({str(data_root)!r}), {str(path)!r})
    {after}
"""
    script = Path(path).with_name(f"build-{time.monotonic_ns()}.py")
    script.write_text(code)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, str(script)], env=environment, stderr=subprocess.PIPE)


def test_a_catalog_holds_what_the_manifest_says(settings, manifest, event):
    path = manifest([
        event(event_id="a", onset_time=1.0, drummer_id="d", techniques=["flam"]),
        event(event_id="b", onset_time=1.01, components=[{"label": "snare"}]),
        event(event_id="c", onset_time=1.0, source_set="enst", session_id="s2", is_synthetic=True),
        event(components=[{"label": "gong"}]),
    ])  # fmt: skip
    catalog = build_catalog(settings, path)
    assert catalog.key == manifest_key(path)
    assert catalog.folder == settings.catalog_dir / catalog.key
    assert sorted(entry.name for entry in catalog.folder.iterdir()) == [
        "chunks.jsonl", "events.parquet", "hits.parquet", "rejected.jsonl", "sessions.parquet", "summary.json",
    ]  # fmt: skip
    assert pq.read_schema(catalog.events_path).equals(EVENT_SCHEMA)
    assert pq.read_schema(catalog.hits_path).equals(HIT_SCHEMA)
    assert pl.read_parquet(catalog.events_path)["line"].to_list() == [1, 2, 3]
    hits = pl.read_parquet(catalog.hits_path)
    assert hits["event_ids"].to_list() == [["c"], ["a", "b"]]
    assert hits["labels"].to_list() == [["kick"], ["kick", "snare"]]
    summary = catalog.summary.to_json()
    expected = {
        "manifest": str(path), "read": 4, "kept": 3, "rejected": 1, "rejects_by_reason": {"unknown_component": 1},
        "hits": 2, "sessions": 2, "files": 2, "events_by_source": {"enst": 1, "groove": 2},
        "hits_by_source": {"enst": 1, "groove": 1}, "techniques": {"flam": 1}, "unknown_labels": {"gong": 1},
        "duplicates": 0, "limit": None, "split_notes": [],
    }  # fmt: skip
    assert {name: summary[name] for name in expected} == expected
    assert {label: count for label, count in summary["events_by_label"].items() if count} == {"kick": 2, "snare": 1}
    assert sum(summary["hits_by_split"].values()) == 2
    assert open_catalog(settings, catalog.key) == catalog
    assert catalog.source_sets == ("enst", "groove")


def test_rejects_say_line_offset_reason_and_message(settings, manifest, event):
    good = json.dumps(event(event_id="é"), ensure_ascii=False).encode()
    path = manifest([good, b"", b"{", good, json.dumps(event(audio_path="/x")).encode()])
    catalog = build_catalog(settings, path)
    rows = rejected(catalog)
    assert [(row["line"], row["reason"]) for row in rows] == [
        (3, "bad_json"),
        (4, "duplicate_event_id"),
        (5, "bad_path"),
    ]
    text = path.read_bytes()
    for row in rows:
        assert text[row["offset"] :].split(b"\n")[0] == text.split(b"\n")[row["line"] - 1]
    assert "'é'" in rows[1]["message"]
    assert (catalog.summary.read, catalog.summary.kept, catalog.summary.rejected) == (4, 1, 3)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n", b" \r\n\t\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_blank_lines_and_byte_order_marks_do_not_matter(settings, manifest, event, end, mark):
    path = manifest([event(), event(), event()], end=end)
    path.write_bytes(mark + path.read_bytes())
    summary = build_catalog(settings, path).summary
    assert (summary.read, summary.kept) == (3, 3)


def test_a_cut_last_line_is_a_reject_and_a_whole_one_without_line_end_is_not(settings, manifest, event):
    whole = manifest([event(), event()], "whole.jsonl")
    whole.write_bytes(whole.read_bytes().rstrip(b"\n"))
    assert build_catalog(settings, whole).summary.kept == 2
    cut = manifest([event(), event()], "cut.jsonl")
    cut.write_bytes(cut.read_bytes()[:-20])
    catalog = build_catalog(settings, cut)
    assert (catalog.summary.kept, catalog.summary.rejects_by_reason) == (1, {"bad_json": 1})
    assert "may have been cut" in rejected(catalog)[0]["message"]


def test_long_lines_are_kept_up_to_their_bound(settings, manifest, event, monkeypatch):
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 3 << 20)
    monkeypatch.setattr("beatsight_core.manifest.parsing.parse.MAX_LINE_BYTES", 3 << 20)
    monkeypatch.setattr(lines, "CHUNK_BYTES", 1 << 20)
    path = manifest([event(), event(note="x" * (1 << 20)), event(note="y" * (4 << 20)), event()])
    catalog = build_catalog(settings, path)
    assert (catalog.summary.read, catalog.summary.kept) == (4, 3)
    assert [(row["line"], row["reason"]) for row in rejected(catalog)] == [(3, "line_too_long")]
    assert pl.read_parquet(catalog.events_path)["line"].to_list() == [1, 2, 4]


@pytest.mark.parametrize("codec", [".gz", ".zst"])
def test_a_compressed_manifest_gives_the_same_tables(settings, manifest, event, codec):
    path = manifest([event(), b"{", event()])
    packed = path.with_name(path.name + codec)
    with pa.CompressedOutputStream(str(packed), "gzip" if codec == ".gz" else "zstd") as stream:
        stream.write(path.read_bytes())
    plain, compressed = build_catalog(settings, path), build_catalog(settings, packed)
    assert files_of(plain) == files_of(compressed)
    assert compressed.key.rpartition("-")[0] == "m"
    assert compressed.key != plain.key


@pytest.mark.parametrize("content", [b"", b"\n \r\n", b"\xef\xbb\xbf\n"])
def test_a_manifest_without_lines_is_an_error(settings, tmp_path, content):
    path = tmp_path / "empty.jsonl"
    path.write_bytes(content)
    with pytest.raises(ManifestError, match="no line"):
        build_catalog(settings, path)
    assert not any(entry.name.startswith("empty") for entry in settings.catalog_dir.iterdir())


def test_a_manifest_without_valid_events_is_an_error_that_shows_some(settings, manifest, tmp_path):
    with pytest.raises(ManifestError, match="None of the manifest's 5 lines") as caught:
        build_catalog(settings, manifest([b"{"] * 5))
    assert "line 1: the line is not JSON" in str(caught.value)
    wide = tmp_path / "wide.jsonl"
    wide.write_text('{"a": 1}\n', encoding="utf-16")
    with pytest.raises(ManifestError, match="save the file as UTF-8"):
        build_catalog(settings, wide)


def test_the_first_of_equal_ids_wins_across_chunks(settings, manifest, event, monkeypatch):
    monkeypatch.setattr(lines, "CHUNK_BYTES", 600)
    rows = [event(event_id=f"e{number % 20}", onset_time=float(number)) for number in range(60)]
    catalog = build_catalog(settings, manifest(rows))
    events = pl.read_parquet(catalog.events_path)
    assert events["line"].to_list() == list(range(1, 21))
    assert catalog.summary.rejects_by_reason == {"duplicate_event_id": 40}
    hits = pl.read_parquet(catalog.hits_path)
    assert sorted(hits["onset_time"]) == [float(number) for number in range(20)]
    assert catalog.summary.hits == sum(catalog.summary.events_by_label.values()) == 20


def test_events_that_repeat_a_stroke_are_counted(settings, manifest, event):
    same = {"onset_time": 1.0, "components": [{"label": "kick"}, {"label": "snare"}]}
    turned = {"onset_time": 1.0, "components": [{"label": "snare"}, {"label": "kick", "velocity": 1}]}
    catalog = build_catalog(settings, manifest([event(**same), event(**turned), event(**same, session_id="other")]))
    assert catalog.summary.duplicates == 1
    assert catalog.summary.kept == 3


def test_defect_4_the_order_of_lines_changes_nothing_but_the_line(settings, manifest, event):
    """The class index once followed the first appearance in the manifest."""
    source = random.Random(5)
    labels = ["snare", "kick", "crash", "tom_low", "hihat_closed"]
    rows = [
        event(
            components=[{"label": source.choice(labels), "velocity": source.random()}],
            onset_time=source.random() * 30,
            audio_path=f"{source.randrange(9)}.wav",
            session_id=f"s{source.randrange(9)}",
            techniques=source.sample(["flam", "bark", "roll"], 2),
            kit_id=source.choice([None, "k1", "k2"]),
        )
        for _ in range(400)
    ]
    one = build_catalog(settings, manifest(rows, "one.jsonl"))
    source.shuffle(rows)
    other = build_catalog(settings, manifest(rows, "other.jsonl"))
    events = [pl.read_parquet(catalog.events_path).drop("line").sort("event_id") for catalog in (one, other)]
    assert events[0].equals(events[1])
    assert pl.read_parquet(one.hits_path).equals(pl.read_parquet(other.hits_path))
    assert list(one.summary.hits_by_label) == list(other.summary.hits_by_label)
    assert one.summary.hits_by_split == other.summary.hits_by_split


def test_how_the_work_is_cut_changes_nothing(settings, manifest, event, monkeypatch):
    """One chunk in this process, many chunks, and many chunks in two processes."""
    source = random.Random(8)
    rows = [
        event(
            event_id=f"e{source.randrange(280)}",
            audio_path=f"{source.randrange(5)}.wav",
            onset_time=source.random() * 9,
        )
        for _ in range(300)
    ] + [b"{", event(components=[{"label": "gong"}])]
    path = manifest(rows)
    whole = build_catalog(settings, path, folder=settings.data_root / "whole")
    monkeypatch.setattr(lines, "CHUNK_BYTES", 2000)
    monkeypatch.setattr("beatsight_core.manifest.parsing.spill.RANGE_EVENTS", 50)
    cut = build_catalog(settings, path, folder=settings.data_root / "cut")
    monkeypatch.setattr(reader, "POOL_BYTES", 0)
    pooled = build_catalog(settings, path, folder=settings.data_root / "pooled")
    assert files_of(cut) == files_of(pooled)
    for name in ("events_path", "hits_path"):
        assert pl.read_parquet(getattr(whole, name)).equals(pl.read_parquet(getattr(cut, name)))
    assert rejected(whole) == rejected(cut)
    of_bytes = dict.fromkeys(("sizes", "sha256s", "seal"))
    assert cut.summary.to_json() | of_bytes == whole.summary.to_json() | of_bytes


def test_an_unchanged_manifest_is_not_read_again(settings, manifest, event):
    path = manifest([event()])
    first = build_catalog(settings, path)
    made = (first.folder / "summary.json").stat().st_mtime_ns
    os.utime(path, (1, 1))
    for ref in (path, first.key, str(path)):
        assert build_catalog(settings, ref) == first
    path.unlink()
    assert build_catalog(settings, first.key) == first
    assert (first.folder / "summary.json").stat().st_mtime_ns == made
    with pytest.raises(ManifestError, match="no manifest"):
        build_catalog(settings, path)


def test_what_bears_on_the_catalog_rebuilds_it_and_nothing_else(data_root, manifest, event):
    path = manifest([event(components=[{"label": "gong"}, {"label": "kick"}]), event(), event()])
    first = build_catalog(load_settings(data_root), path)
    (data_root / "beatsight.toml").write_text('[sources.other]\nlicence = "CC0"\n[dataset]\nunit_hits = 7\n')
    second = build_catalog(load_settings(data_root), path)
    assert second.summary == first.summary
    assert second.summary.kept == 2
    (data_root / "beatsight.toml").write_text('[sources.groove]\nunknown_labels = "ignore"\nlicence = "CC0"\n')
    third = build_catalog(load_settings(data_root), path)
    assert third.key == first.key
    assert third.summary.inputs != first.summary.inputs
    assert (third.summary.kept, third.summary.unknown_labels) == (3, {"gong": 1})
    assert set(pl.read_parquet(third.hits_path)["licence"]) == {"CC0"}
    assert [entry.name for entry in sorted(data_root.glob("catalog/*")) if not entry.name.startswith(".")] == [
        third.key
    ]


def test_a_damaged_catalog_is_made_again(settings, manifest, event):
    path = manifest([event(), event()])
    catalog = build_catalog(settings, path)
    whole = catalog.hits_path.read_bytes()
    catalog.hits_path.write_bytes(whole[:-5])
    with pytest.raises(DatasetError, match="not whole"):
        open_catalog(settings, catalog.key)
    assert build_catalog(settings, path).hits_path.read_bytes() == whole
    (catalog.folder / "summary.json").write_text("{}")
    with pytest.raises(DatasetError):
        open_catalog(settings, catalog.key)
    assert build_catalog(settings, path).summary == catalog.summary


def test_a_limit_makes_a_catalog_of_its_own(settings, manifest, event, monkeypatch):
    monkeypatch.setattr(lines, "CHUNK_BYTES", 700)
    path = manifest([event(), b"", b"{", *(event() for _ in range(20))])
    limited = build_catalog(settings, path, limit=7)
    assert limited.key == f"{manifest_key(path)}-limit7"
    assert (limited.summary.read, limited.summary.kept, limited.summary.limit) == (7, 6, 7)
    assert build_catalog(settings, limited.key) == limited
    assert build_catalog(settings, path).summary.read == 22
    assert build_catalog(settings, path, limit=10**6).summary.read == 22
    (limited.folder / "summary.json").unlink()
    assert build_catalog(settings, limited.key).summary == limited.summary
    with pytest.raises(UsageError):
        build_catalog(settings, path, limit=0)


def test_a_catalog_elsewhere_leaves_the_data_root_alone(settings, manifest, event, tmp_path):
    path = manifest([event()])
    catalog = build_catalog(settings, path, folder=tmp_path / "elsewhere")
    assert catalog.folder == tmp_path / "elsewhere"
    assert list(settings.data_root.iterdir()) == []


def test_names_are_resolved_as_path_inbox_name_and_key(settings, manifest, event, tmp_path, monkeypatch):
    outside = manifest([event()], "outside.jsonl")
    settings.manifests_dir.mkdir()
    inbox = settings.manifests_dir / "drums.v2.jsonl"
    inbox.write_bytes(outside.read_bytes())
    monkeypatch.chdir(tmp_path)
    assert resolve_manifest(settings, "outside.jsonl") == outside
    assert resolve_manifest(settings, str(outside)) == outside
    for ref in ("drums.v2.jsonl", "drums.v2", manifest_key(inbox)):
        assert resolve_manifest(settings, ref) == inbox
    key = build_catalog(settings, outside).key
    assert resolve_manifest(settings, key) == outside
    outside.write_bytes(outside.read_bytes() * 2)
    for ref in (key, "absent", "../absent", "x" * 300, ""):
        with pytest.raises(ManifestError):
            resolve_manifest(settings, ref)
    with pytest.raises(ManifestError, match=r"the inbox holds drums\.v2\.jsonl"):
        resolve_manifest(settings, "absent")
    with pytest.raises(DatasetError, match="no catalog"):
        open_catalog(settings, "absent")


@pytest.mark.parametrize("name", ["a\nb.jsonl", "a\udcff.jsonl"])
def test_a_manifest_whose_name_cannot_be_shown_is_an_error(settings, manifest, event, name):
    with pytest.raises(ManifestError, match="cannot be shown"):
        build_catalog(settings, manifest([event()], name))


def test_a_manifest_that_changes_while_it_is_read_is_an_error(settings, manifest, event):
    path = manifest([event(), event()])

    class Meddling(SilentProgress):
        def task(self, name, total=None, unit=""):
            with path.open("ab") as handle:
                handle.write(b"\n")
            return super().task(name, total, unit)

    with pytest.raises(ManifestError, match="changed while it was read"):
        build_catalog(settings, path, progress=Meddling())
    assert [entry for entry in settings.catalog_dir.iterdir() if entry.name.startswith("m")] == []


def test_progress_hears_of_lines_and_hits(settings, manifest, event):
    heard = {}
    path = manifest([event(), event(), b"{"])
    build_catalog(settings, path, progress=SilentProgress(heard.__setitem__))
    assert heard["manifest"]["events"] == 2
    assert heard["manifest"]["rejected"] == 1
    assert heard["manifest"]["done"] == heard["manifest"]["total"] == path.stat().st_size / 1e6
    assert heard["hits"] == {"done": 2.0, "total": 2, "hits": 2}


def test_builders_at_the_same_time_give_one_catalog(settings, manifest, event):
    path = manifest([event() for _ in range(3000)])
    builders = [build_elsewhere(settings.data_root, path) for _ in range(2)]
    assert [builder.wait() for builder in builders] == [0, 0], builders[0].stderr.read()
    catalog = open_catalog(settings, manifest_key(path))
    assert catalog.summary.kept == 3000
    names = [entry.name for entry in settings.catalog_dir.iterdir() if not entry.name.startswith(".")]
    assert names == [catalog.key]
    for builder in builders:
        builder.stderr.close()


HANG = """
def hang(*arguments):
    open({there!r}, "w").close()
    time.sleep(60)
{place} = hang
"""


def kill_there(builder, there):
    while not there.exists():
        assert builder.poll() is None, builder.stderr.read()
        time.sleep(0.02)
    children = [child.pid for child in psutil.Process(builder.pid).children()]
    builder.kill()
    builder.wait()
    builder.stderr.close()
    return children


@pytest.mark.parametrize("place", ["catalog_making.Assembly", "catalog_making.write_json"])
def test_a_killed_build_leaves_nothing_half_and_the_next_one_is_whole(settings, manifest, event, tmp_path, place):
    path = manifest([event() for _ in range(500)])
    there = tmp_path / "there"
    kill_there(build_elsewhere(settings.data_root, path, HANG.format(there=str(there), place=place)), there)
    with pytest.raises(DatasetError):
        open_catalog(settings, manifest_key(path))
    catalog = build_catalog(settings, path)
    fresh = build_catalog(settings, path, folder=tmp_path / "fresh")
    assert files_of(catalog) == files_of(fresh)
    assert [entry.name for entry in settings.catalog_dir.iterdir() if not entry.name.startswith(".")] == [catalog.key]


def test_a_killed_build_leaves_no_process_behind(settings, manifest, event, tmp_path):
    there = tmp_path / "there"
    before = "reader.POOL_BYTES = 0\n" + HANG.format(there=str(there), place="catalog_making.Assembly")
    children = kill_there(build_elsewhere(settings.data_root, manifest([event() for _ in range(50)]), before), there)
    assert children
    deadline = time.monotonic() + 20
    while any(psutil.pid_exists(child) for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_full_disk_leaves_the_earlier_catalog_as_it_was(data_root, manifest, event):
    path = manifest([event(note="x" * 50 + str(number)) for number in range(3000)])
    first = build_catalog(load_settings(data_root), path)
    files = files_of(first)
    (data_root / "beatsight.toml").write_text("[dataset]\nval_ratio = 0.3\n")
    full = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, resource.RLIM_INFINITY))
"""
    builder = build_elsewhere(data_root, path, full)
    _, said = builder.communicate()
    assert builder.returncode == 1
    assert b"StorageError" in said
    assert files_of(first) == files
    assert build_catalog(load_settings(data_root), path).summary.inputs != first.summary.inputs


def test_a_data_root_that_cannot_be_written_is_a_storage_error(tmp_path, manifest, event):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        build_catalog(load_settings(tmp_path), manifest([event()]), folder=tmp_path / "file" / "deep" / "catalog")


@examples(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_hits_are_exact_at_chunk_borders_and_independent_of_the_order_of_lines(tmp_path, monkeypatch, data):
    """Many chunks and many ranges of shuffled lines give the hits of all events at once."""
    numbers = data.draw(st.lists(st.integers(0, 120), min_size=1, max_size=60))
    rows = [
        {
            "event_id": f"e{place}", "session_id": f"s{place % 3}", "source_set": "gw"[place % 2],
            "audio_path": f"{place % 5}.wav", "onset_time": number / 100,
            "techniques": [["a"], ["b", "a"], []][place % 3],
            "components": [{"label": ("kick", "snare", "china2")[place % 3], "velocity": number / 120}],
            "kit_id": (None, "k", "l")[number % 3],
        }
        for place, number in enumerate(numbers)
    ]  # fmt: skip
    data_root = tmp_path / "data"
    shutil.rmtree(data_root, ignore_errors=True)
    data_root.mkdir()
    settings = load_settings(data_root)
    (data_root / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in data.draw(st.permutations(rows))))
    monkeypatch.setattr(lines, "CHUNK_BYTES", data.draw(st.integers(200, 1500)))
    monkeypatch.setattr(spill, "RANGE_EVENTS", data.draw(st.integers(1, 30)))
    catalog = build_catalog(settings, data_root / "m.jsonl", folder=data_root / "c")
    rules = HitRules(CORE, {}, {})
    whole = pl.DataFrame(coalesce(pq.read_table(catalog.events_path), rules))
    found = pl.read_parquet(catalog.hits_path)
    assert found.drop("split", "split_group").equals(whole)


def test_what_a_killed_writer_left_goes_even_if_there_is_nothing_to_make(settings, manifest, event):
    path = manifest([event()])
    made = build_catalog(settings, path)
    dead = subprocess.Popen(["true"])
    dead.wait()
    retired = made.folder.with_name(f"{made.key}.tmp-{host_mark()}-{dead.pid}-00000000-old")
    retired.mkdir()
    (retired / "events.parquet").write_bytes(b"of an earlier catalog")
    assert build_catalog(settings, path) == made
    assert not retired.exists()
