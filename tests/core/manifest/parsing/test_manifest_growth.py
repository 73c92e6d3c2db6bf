"""A manifest that grew: what is known of it is not parsed again, and the catalog is that of a parse of the whole."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from beatsight_core.manifest import read_manifest
from beatsight_core.manifest.parsing import chunks, lines
from beatsight_core.manifest.read_manifest import build_catalog
from beatsight_core.settings import load_settings

CHUNK = 900


@pytest.fixture
def parsed(monkeypatch):
    """Small chunks, and the offsets of those that are parsed."""
    monkeypatch.setattr(lines, "CHUNK_BYTES", CHUNK)
    offsets: list[int] = []
    run = chunks.ParseJob.run

    def noted(job):
        offsets.append(job.chunk.offset)
        return run(job)

    monkeypatch.setattr(chunks.ParseJob, "run", noted)
    return offsets


def files_of(catalog):
    names = sorted(path.name for path in catalog.folder.iterdir())
    return {name: (catalog.folder / name).read_bytes() for name in names}


def grown(settings, path: Path, before: bytes, after: bytes, elsewhere: Path):
    """The catalog after growth, and that of a parse of the whole, made elsewhere."""
    path.write_bytes(before)
    build_catalog(settings, path)
    path.write_bytes(before + after)
    shutil.rmtree(elsewhere, ignore_errors=True)
    return build_catalog(settings, path), build_catalog(settings, path, folder=elsewhere)


def text(rows) -> bytes:
    return b"".join(row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows)


def test_only_the_last_chunk_and_what_is_new_are_parsed(settings, tmp_path, event, parsed):
    before, after = text(event() for _ in range(40)), text(event() for _ in range(3))
    first, whole = grown(settings, tmp_path / "m.jsonl", before, after, tmp_path / "whole")
    assert files_of(first) == files_of(whole)
    assert first.summary.kept == 43
    cut = parsed.index(0, 1)  # the parse of the whole begins there
    again = parsed[1:cut][parsed[1:cut].index(max(parsed[1:cut])) :]
    assert all(offset > len(before) - CHUNK for offset in again)


@pytest.mark.parametrize("name", ["m.jsonl", "renamed.jsonl"])
def test_what_grew_is_known_by_its_content_and_not_by_its_name(settings, tmp_path, event, parsed, name):
    before = text(event() for _ in range(30))
    (tmp_path / "m.jsonl").write_bytes(before)
    build_catalog(settings, tmp_path / "m.jsonl")
    parsed.clear()
    (tmp_path / name).write_bytes(before + text([event()]))
    assert build_catalog(settings, tmp_path / name).summary.kept == 31
    assert 0 not in parsed


def test_a_changed_beginning_other_settings_and_damage_make_it_parse_the_whole(data_root, tmp_path, event, parsed):
    before, path = text(event() for _ in range(30)), tmp_path / "m.jsonl"

    def parses_the_whole(change) -> bool:
        shutil.rmtree(data_root / "catalog", ignore_errors=True)
        (data_root / "beatsight.toml").unlink(missing_ok=True)
        path.write_bytes(before)
        first = build_catalog(load_settings(data_root), path)
        parsed.clear()
        changed = change(first)
        path.write_bytes((changed or before) + text([event()]))
        build_catalog(load_settings(data_root), path)
        return 0 in parsed

    def other_settings(_):
        (data_root / "beatsight.toml").write_text("[sources.groove]\ncoalesce_ms = 10\n")

    def damage(catalog):
        raw = bytearray(catalog.events_path.read_bytes())
        raw[len(raw) // 2] ^= 1
        catalog.events_path.write_bytes(raw)

    assert not parses_the_whole(lambda _: None)
    assert parses_the_whole(lambda _: before.replace(b"e0", b"f0", 1))
    assert parses_the_whole(other_settings)
    assert parses_the_whole(damage)


def test_compressed_and_limited_manifests_are_parsed_whole(settings, tmp_path, event, parsed):
    before = text(event() for _ in range(30))
    packed = tmp_path / "m.jsonl.gz"
    for content in (before, before + text([event()])):
        with pa.CompressedOutputStream(str(packed), "gzip") as stream:
            stream.write(content)
        parsed.clear()
        build_catalog(settings, packed)
        assert 0 in parsed
    plain = tmp_path / "m.jsonl"
    plain.write_bytes(before)
    build_catalog(settings, plain, limit=20)
    parsed.clear()
    build_catalog(settings, plain)
    assert 0 in parsed


def test_half_a_line_at_the_old_end_is_read_as_what_it_became(settings, tmp_path, event, parsed):
    last = text([event()])
    before = text(event() for _ in range(20)) + last[:-30]
    catalog, whole = grown(settings, tmp_path / "m.jsonl", before, last[-30:] + text([event()]), tmp_path / "whole")
    assert catalog.summary.rejected == 0
    assert files_of(catalog) == files_of(whole)


def test_many_different_extras_survive(settings, tmp_path, event, monkeypatch):
    """More text than one dictionary of the Parquet file holds."""
    monkeypatch.setattr(lines, "CHUNK_BYTES", 3 << 20)
    before = text(event(note=f"{number:06d}" * 200) for number in range(6000))
    catalog, whole = grown(settings, tmp_path / "m.jsonl", before, text([event()]), tmp_path / "whole")
    assert files_of(catalog) == files_of(whole)


odd = st.sampled_from(
    [
        b"{\n", b"\n", b"\r\n", b'{"event_id": 3}\n', b"\xff\n", b"[]\n", b'{"event_id":"\xc3\xa9"}\n',
    ]
)  # fmt: skip
rows = st.lists(
    st.one_of(
        odd,
        st.fixed_dictionaries(
            {
                "event_id": st.integers(0, 60).map(lambda number: f"e{number:02d}"),
                "session_id": st.sampled_from(["s", "t"]),
                "source_set": st.sampled_from(["groove", "slakh"]),
                "audio_path": st.sampled_from(["a.wav", "b.wav", "c/d.wav"]),
                "onset_time": st.integers(0, 400).map(lambda number: number / 100),
                "components": st.lists(
                    st.fixed_dictionaries(
                        {"label": st.sampled_from(["kick", "snare", "gong", "tom_floor"])},
                        optional={"velocity": st.sampled_from([0.5, 1]), "pedal": st.booleans()},
                    ),
                    min_size=1,
                    max_size=2,
                ),
            },
            optional={
                "techniques": st.lists(st.sampled_from(["flam", "roll"]), max_size=2),
                "kit_id": st.sampled_from(["k", None]),
                "meter": st.sampled_from(["4/4", None, 3]),
            },
        ),
    ),
    max_size=40,
)


VALID = (
    b'{"event_id":"v","session_id":"s","source_set":"g","audio_path":"a","onset_time":1,'
    b'"components":[{"label":"kick"}]}\n'
)


@examples(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows, rows, st.integers(0, 400), st.integers(300, 3000))
def test_a_grown_catalog_is_that_of_the_whole(tmp_path, monkeypatch, before, after, cut, chunk):
    data_root = tmp_path / "grown"
    shutil.rmtree(data_root, ignore_errors=True)
    data_root.mkdir()
    settings = load_settings(data_root)
    monkeypatch.setattr(lines, "CHUNK_BYTES", chunk)
    whole = VALID + text(before) + text(after)
    size = len(whole) - min(cut, len(whole) - len(VALID))
    catalog, reference = grown(settings, data_root / "m.jsonl", whole[:size], whole[size:], data_root / "whole")
    assert files_of(catalog) == files_of(reference)


def test_growth_in_several_processes_gives_the_same(settings, tmp_path, event, parsed, monkeypatch):
    monkeypatch.setattr(read_manifest, "POOL_BYTES", 0)
    before = text(event(audio_path=f"{number % 7}.wav") for number in range(40))
    after = text(event(audio_path=f"{number % 9}.wav") for number in range(9))
    catalog, _ = grown(settings, tmp_path / "m.jsonl", before, after, tmp_path / "pooled")
    monkeypatch.setattr(read_manifest, "POOL_BYTES", 1 << 40)
    assert files_of(catalog) == files_of(build_catalog(settings, tmp_path / "m.jsonl", folder=tmp_path / "single"))
