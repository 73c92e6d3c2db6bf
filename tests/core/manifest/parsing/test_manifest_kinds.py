"""A file that is no manifest is called what it is, in one error, before its lines are read."""

import bz2
import csv
import gzip
import io
import json
import lzma
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from beatsight_core.errors import ManifestError
from beatsight_core.manifest.merge import merge_manifests
from beatsight_core.manifest.parsing.kinds import HEAD_BYTES, require_lines
from beatsight_core.manifest.read_manifest import build_catalog
from beatsight_core.settings import load_settings


def events(count=3):
    return [
        {
            "event_id": f"e{number}", "session_id": "s", "source_set": "t", "audio_path": "a.wav",
            "onset_time": number / 2, "components": [{"label": "kick", "velocity": 0.5}],
        }
        for number in range(count)
    ]  # fmt: skip


LINES = b"".join(json.dumps(event).encode() + b"\n" for event in events())
MANY = b"".join(json.dumps(event).encode() + b",\n" for event in events(1000)).removesuffix(b",\n")
FORMATTED = b"[\n" + b",\n".join(
    b'  {\n    "event_id": "e%d",\n    "components": [\n      { "label": "kick" }\n    ]\n  }' % number
    for number in range(1000)
) + b"\n]\n"  # fmt: skip


def table_bytes():
    sink = io.BytesIO()
    pq.write_table(pa.table({"event_id": ["a"], "onset_time": [0.5]}), sink)
    return sink.getvalue()


def zip_bytes():
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("m.jsonl", LINES)
    return sink.getvalue()


def tar_bytes():
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        member = tarfile.TarInfo("m.jsonl")
        member.size = len(LINES)
        archive.addfile(member, io.BytesIO(LINES))
    return sink.getvalue()


def csv_bytes(delimiter):
    sink = io.StringIO()
    writer = csv.writer(sink, delimiter=delimiter)
    writer.writerow(["event_id", "onset_time", "label"])
    writer.writerows([[f"e{number}", number / 2, "kick"] for number in range(5)])
    return sink.getvalue().encode()


zstd = zstandard.ZstdCompressor().compress

KINDS = {
    "an array on one line": ("m.jsonl", json.dumps(events()).encode(), "a JSON array"),
    "an array, an event a line": ("m.jsonl", b"[\n" + MANY + b"\n]\n", "a JSON array"),
    "an array that begins on the first event's line": ("m.jsonl", b"[" + MANY + b"]", "a JSON array"),
    "a short array of two lines": ("m.jsonl", b"[\n" + LINES.splitlines()[0] + b"\n]\n", "a JSON array"),
    "an indented array": ("m.jsonl", json.dumps(events(), indent=2).encode(), "a JSON array"),
    "a long indented array": ("m.jsonl", json.dumps(events(2000), indent=2).encode(), "a JSON array"),
    "an array without line breaks, longer than is looked at": (
        "m.jsonl", json.dumps(events(2000)).encode(), "a JSON array"
    ),
    "an array in a gzip": ("m.jsonl.gz", gzip.compress(b"[\n" + MANY + b"\n]\n"), "a JSON array in a gzip archive"),
    "an array in a zstd": ("m.jsonl.zst", zstd(json.dumps(events()).encode()), "a JSON array in a zstd archive"),
    "an array that was cut": ("m.jsonl", b"[\n" + LINES.replace(b"}\n", b"},\n").removesuffix(b",\n"), "a JSON array"),
    "an array as formatters write it, short objects on one line": ("m.jsonl", FORMATTED, "a JSON array"),
    "commas between the lines": ("m.jsonl", MANY, "JSON objects with commas between them"),
    "commas between a few lines": (
        "m.jsonl", LINES.replace(b"}\n", b"},\n").removesuffix(b",\n"), "JSON objects with commas between them"
    ),
    "one indented object": ("m.jsonl", json.dumps({"events": events()}, indent=1).encode(), "JSON over several lines"),
    "a gzip without its name": ("m.jsonl", gzip.compress(LINES), "a gzip archive, and not JSON lines"),
    "a zstd without its name": ("m.jsonl", zstd(LINES), "a zstd archive, and not JSON lines"),
    "a zstd named as gzip": ("m.jsonl.gz", zstd(LINES), "a zstd archive, and not a gzip archive"),
    "a gzip named as zstd": ("m.jsonl.zst", gzip.compress(LINES), "a gzip archive, and not a zstd archive"),
    "text named as gzip": ("m.jsonl.gz", LINES, "plain text, and not a gzip archive"),
    "text with a mark named as zstd": ("m.jsonl.zst", b"\xef\xbb\xbf" + LINES, "plain text, and not a zstd archive"),
    "a gzip in a gzip": ("m.jsonl.gz", gzip.compress(gzip.compress(LINES)), "a gzip archive in a gzip archive"),
    "a tar in a gzip": ("m.jsonl.gz", gzip.compress(tar_bytes()), "a tar archive in a gzip archive"),
    "a ZIP named as gzip": ("m.jsonl.gz", zip_bytes(), "a ZIP archive"),
    "a ZIP": ("m.jsonl", zip_bytes(), "a ZIP archive"),
    "bzip2": ("m.jsonl", bz2.compress(LINES), "a bzip2 archive"),
    "xz": ("m.jsonl", lzma.compress(LINES), "an xz archive"),
    "Parquet": ("m.jsonl", table_bytes(), "a Parquet table"),
    "Parquet in a zstd": ("m.jsonl.zst", zstd(table_bytes()), "a Parquet table in a zstd archive"),
    "UTF-16": ("m.jsonl", LINES.decode().encode("utf-16"), "text in UTF-16"),
    "UTF-16 without a mark": ("m.jsonl", LINES.decode().encode("utf-16-le"), "text in UTF-16"),
    "UTF-16, the other way round": ("m.jsonl", LINES.decode().encode("utf-16-be"), "text in UTF-16"),
    "UTF-32": ("m.jsonl", LINES.decode().encode("utf-32"), "text in UTF-32"),
    "UTF-16 in a gzip": ("m.jsonl.gz", gzip.compress(LINES.decode().encode("utf-16")), "text in UTF-16 in a gzip"),
    "CSV": ("m.jsonl", csv_bytes(","), "CSV"),
    "CSV with semicolons": ("m.jsonl", csv_bytes(";"), "CSV with semicolons"),
    "tabs": ("m.jsonl", csv_bytes("\t"), "a table with tabs"),
    "line ends of old Macs": ("m.jsonl", LINES.replace(b"\n", b"\r"), "old Macs"),
    "a page": ("m.jsonl", b"<!DOCTYPE html>\n<html><body>404</body></html>\n", "HTML or XML"),
    "zero bytes": ("m.jsonl", bytes(9000), "zero bytes"),
    "a sound": ("m.jsonl", b"RIFF\x24\0\0\0WAVEfmt ", "a WAV"),
    "a pointer": ("m.jsonl", b"version https://git-lfs.github.com/spec/v1\noid 00\nsize 3\n", "a Git LFS pointer"),
}  # fmt: skip


@pytest.mark.parametrize("case", KINDS)
def test_every_kind_is_named_in_one_error(tmp_path, case):
    name, content, said = KINDS[case]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ManifestError) as caught:
        build_catalog(load_settings(tmp_path / "root", {}), path)
    assert said in caught.value.what
    assert caught.value.do
    assert str(path) in str(caught.value)


TAKEN = {
    "plain": ("m.jsonl", LINES),
    "with a mark": ("m.jsonl", b"\xef\xbb\xbf" + LINES),
    "after blank lines": ("m.jsonl", b"\n \r\n" + LINES),
    "gzip": ("m.jsonl.gz", gzip.compress(LINES)),
    "gzip in two members": ("m.jsonl.gz", gzip.compress(LINES[:50]) + gzip.compress(LINES[50:])),
    "gzip longer than is looked at": ("m.jsonl.gz", gzip.compress(LINES * 1000, compresslevel=0)),
    "zstd": ("m.jsonl.zst", zstd(LINES)),
    "zstd after a frame to be skipped": ("m.jsonl.zst", b"\x50\x2a\x4d\x18\x02\0\0\0xx" + zstd(LINES)),
    "a first line that is an array": ("m.jsonl", b"[1]\n" + LINES),
    "a first line that is broken": ("m.jsonl", b'[{"event_id"\n' + LINES),
    "a first line that is a heading": ("m.jsonl", b"event_id,onset_time,label\n" + LINES),
    "a first event longer than is looked at": (
        "m.jsonl", json.dumps(events()[0] | {"note": "x" * HEAD_BYTES}).encode() + b"\n" + LINES
    ),
    "no last line end": ("m.jsonl", LINES[:-1]),
    "nothing": ("m.jsonl", b""),
    "nothing, compressed": ("m.jsonl.gz", b""),
}  # fmt: skip


@pytest.mark.parametrize("case", TAKEN)
def test_what_may_hold_events_is_read(tmp_path, case):
    name, content = TAKEN[case]
    (tmp_path / name).write_bytes(content)
    require_lines(tmp_path / name)


def test_a_merge_says_it_too(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(LINES)
    (tmp_path / "b.jsonl").write_bytes(gzip.compress(LINES))
    with pytest.raises(ManifestError, match="is a gzip archive"):
        merge_manifests([tmp_path / "a.jsonl", tmp_path / "b.jsonl"], tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    "first",
    [b"\xfd7zXZ\x00", b"PK\x03\x04", b"\x1f\x8b", b"RIFF", b"%PDF", b"BZh", b"\xff\xfe", b"\xfe\xff", b"["],
)
def test_a_manifest_whose_first_line_is_broken_is_a_manifest_whatever_it_begins_with(tmp_path, first):
    path = tmp_path / "m.jsonl"
    path.write_bytes(first + b"\n" + b'{"event_id": "e1"}\n')
    require_lines(path)


@pytest.mark.parametrize("kind", ["zip", "tar", "gzip"])
def test_an_archive_that_compresses_nothing_is_no_manifest(tmp_path, kind):
    inside, path = tmp_path / "inside.jsonl", tmp_path / "m.jsonl"
    inside.write_bytes(b'{"event_id": "e1"}\n' * 3)
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(inside)
    elif kind == "tar":
        with tarfile.open(path, "w") as archive:
            archive.add(inside)
    else:
        path.write_bytes(gzip.compress(inside.read_bytes(), 0))
    with pytest.raises(ManifestError, match=f"(?i)an? {kind} archive"):
        require_lines(path)
