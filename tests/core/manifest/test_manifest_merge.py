import gzip
import json

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from beatsight_core.errors import ManifestError, UsageError
from beatsight_core.manifest.merge import merge_manifests
from beatsight_core.manifest.parsing import lines
from beatsight_core.manifest.read_manifest import build_catalog


def ids_of(path):
    return [json.loads(line)["event_id"] for line in path.read_bytes().splitlines()]


def test_the_union_holds_every_line_once_byte_for_byte(tmp_path, manifest, event):
    shared, odd = event(), b'{ "sample_id": "x",  "unknown": [1, null] }\r'
    a = manifest([event(), shared, odd], "a.jsonl")
    turned = dict(reversed(shared.items()))
    b = manifest([turned, event(note="\u00e9"), b"", b"not json"], "b.jsonl", end=b"\n\n")
    out = tmp_path / "out.jsonl"
    result = merge_manifests([a, b], out)
    text = [line for line in (a.read_bytes() + b.read_bytes()).split(b"\n") if line]
    assert out.read_bytes() == b"".join(line + b"\n" for line in text if line != json.dumps(turned).encode())
    assert result.to_json() == {
        "path": str(out), "lines": {str(a): 3, str(b): 3}, "written": 5, "same": 1, "conflicts": 0, "repeats": 0,
        "repeats_dropped": 0, "without_id": 1,
    }  # fmt: skip


def test_a_cut_last_line_and_a_byte_order_mark_do_not_run_into_their_neighbours(tmp_path, manifest, event):
    a, b = manifest([event()], "a.jsonl"), manifest([event()], "b.jsonl")
    a.write_bytes(a.read_bytes().rstrip(b"\n"))
    b.write_bytes(b"\xef\xbb\xbf" + b.read_bytes())
    merge_manifests([a, b], tmp_path / "out.jsonl")
    assert len(ids_of(tmp_path / "out.jsonl")) == 2


@pytest.mark.parametrize("policy", ["first", "last"])
def test_a_conflict_is_an_error_or_settled_as_asked(tmp_path, manifest, event, policy):
    base = [event(event_id=name) for name in "abc"]
    a, b = manifest(base, "a.jsonl"), manifest([base[0], base[1] | {"kit_id": "k"}, event(event_id="d")], "b.jsonl")
    out = tmp_path / "out.jsonl"
    with pytest.raises(ManifestError, match=r"2 of 6 lines.*event ids b"):
        merge_manifests([a, b], out)
    assert not out.exists()
    result = merge_manifests([a, b], out, on_conflict=policy)
    assert (result.written, result.same, result.conflicts) == (4, 1, 1)
    assert ids_of(out) == (["a", "b", "c", "d"] if policy == "first" else ["a", "c", "b", "d"])
    assert (b"kit_id" in out.read_bytes()) == (policy == "last")


def test_repeated_strokes_are_reported_and_dropped_if_asked(tmp_path, manifest, event):
    pair = [{"label": "kick"}, {"label": "snare"}]
    a = manifest([event(onset_time=1, components=pair)], "a.jsonl")
    b = manifest([event(onset_time=1.0, components=pair[::-1], kit_id="k"), event(onset_time=1)], "b.jsonl")
    out = tmp_path / "out.jsonl"
    assert (merge_manifests([a, b], out).repeats, len(ids_of(out))) == (1, 3)
    result = merge_manifests([a, b], out, drop_repeats=True, force=True)
    assert (result.repeats, result.repeats_dropped, result.written) == (1, 1, 2)


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".jsonl.zst"])
def test_compressed_in_and_out(tmp_path, manifest, event, suffix):
    a, b = manifest([event()], "a.jsonl"), tmp_path / "b.jsonl.gz"
    b.write_bytes(gzip.compress(json.dumps(event()).encode() + b"\n"))
    out = tmp_path / f"out{suffix}"
    merge_manifests([a, b], out)
    with pa.CompressedInputStream(str(out), "gzip" if suffix.endswith("gz") else "zstd") as stream:
        assert stream.read().count(b"\n") == 2


def test_what_cannot_be_done_is_said_before_anything_is_written(tmp_path, manifest, event):
    a, b = manifest([event()], "a.jsonl"), manifest([event()], "b.jsonl")
    before = a.read_bytes()
    for inputs, output in (([a, b], a), ([a, b], tmp_path / "out.txt"), ([a, a], tmp_path / "out.jsonl")):
        with pytest.raises(UsageError):
            merge_manifests(inputs, output, force=True)
    (tmp_path / "out.jsonl").write_text("precious")
    with pytest.raises(UsageError, match="--force"):
        merge_manifests([a, b], tmp_path / "out.jsonl")
    with pytest.raises(ManifestError, match="no such manifest"):
        merge_manifests([a, tmp_path / "absent.jsonl"], tmp_path / "new.jsonl")
    b.write_bytes(b"\n")
    a.write_bytes(b"")
    with pytest.raises(ManifestError, match="no line"):
        merge_manifests([a, b], tmp_path / "new.jsonl")
    assert (tmp_path / "out.jsonl").read_text() == "precious"
    assert before


def test_chunks_and_processes_change_nothing(tmp_path, manifest, event, monkeypatch):
    rows = [event(event_id=f"e{number % 30}", onset_time=float(number % 30)) for number in range(60)]
    a, b = manifest(rows[:40], "a.jsonl"), manifest(rows[40:], "b.jsonl")
    merge_manifests([a, b], tmp_path / "one.jsonl")
    monkeypatch.setattr(lines, "CHUNK_BYTES", 500)
    merge_manifests([a, b], tmp_path / "two.jsonl", workers=2)
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()
    assert len(ids_of(tmp_path / "one.jsonl")) == 30


numbers = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 2)), max_size=25)


@examples(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(numbers, numbers, st.sampled_from(["first", "last"]))
def test_a_merge_is_the_union_as_the_definition_says(settings, tmp_path, first, second, policy):
    def row(pair):
        number, kind = pair
        return {
            "event_id": f"e{number}", "session_id": "s", "source_set": "g", "audio_path": "a", "onset_time": number,
            "components": [{"label": ["kick", "snare", "crash"][kind]}],
        }  # fmt: skip

    paths = [tmp_path / name for name in ("a.jsonl", "b.jsonl")]
    every = [row(pair) for pair in [(99, 0), *first, *second]]
    for path, part in zip(paths, (every[: len(first) + 1], every[len(first) + 1 :]), strict=True):
        path.write_text("".join(json.dumps(item) + "\n" for item in part))
    merge_manifests(paths, tmp_path / "out.jsonl", on_conflict=policy, force=True)
    order = every if policy == "first" else every[::-1]
    expected = {}
    for item in order:
        expected.setdefault(item["event_id"], item)
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert {item["event_id"]: item for item in found} == expected
    assert len(found) == len(expected)


def test_a_catalog_of_the_merge_holds_the_events_of_both(settings, tmp_path, manifest, event):
    a, b = manifest([event(), event()], "a.jsonl"), manifest([event()], "b.jsonl")
    merge_manifests([a, b], tmp_path / "out.jsonl")
    catalogs = [build_catalog(settings, path) for path in (a, b, tmp_path / "out.jsonl")]
    ids = [set(pl.read_parquet(catalog.events_path)["event_id"]) for catalog in catalogs]
    assert ids[2] == ids[0] | ids[1]
