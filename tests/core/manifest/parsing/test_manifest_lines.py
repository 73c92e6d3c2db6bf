import gzip

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.errors import ManifestError, StorageError
from beatsight_core.manifest.parsing import lines
from beatsight_core.manifest.parsing.lines import read_chunks

SUFFIXES = {
    ".jsonl": bytes,
    ".jsonl.gz": gzip.compress,
    ".jsonl.zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}


def text_of(chunks, path):
    return b"".join(b"".join(chunk.blocks(path)) for chunk in chunks)


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.binary(max_size=40).map(lambda row: row.replace(b"\n", b"")), max_size=30),
    end=st.sampled_from([b"\n", b""]),
    size=st.integers(1, 200),
)
def test_chunks_cover_the_text_and_end_at_line_ends(tmp_path_factory, suffix, rows, end, size):
    path = tmp_path_factory.mktemp("m") / f"m{suffix}"
    text = b"{}\n" + b"\n".join(rows) + end
    path.write_bytes(SUFFIXES[suffix](text))
    chunks = list(read_chunks(path, size))
    assert text_of(chunks, path) == text
    assert [chunk.offset for chunk in chunks] == [sum(c.size for c in chunks[:n]) for n in range(len(chunks))]
    for chunk in chunks[:-1]:
        assert b"".join(chunk.blocks(path)).endswith(b"\n")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_line_beyond_all_bounds_is_skipped_unread(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 3 << 20)
    text = b"first\n" + b"x" * (10 << 20) + b"\nlast\n"
    path = tmp_path / f"m{suffix}"
    path.write_bytes(SUFFIXES[suffix](text))
    chunks = list(read_chunks(path, 1 << 20))
    assert [chunk.too_long for chunk in chunks] == [False, True, False]
    assert chunks[1].size == (10 << 20) + 1
    assert chunks[1].data is None
    assert b"".join(chunks[2].blocks(path)) == b"last\n"


def test_lines_of_a_megabyte_are_read(tmp_path):
    path = tmp_path / "m.jsonl"
    text = (b"x" * (1 << 20) + b"\n") * 5
    path.write_bytes(text)
    chunks = list(read_chunks(path, 1 << 16))
    assert not any(chunk.too_long for chunk in chunks)
    assert text_of(chunks, path) == text


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".jsonl.zst"])
@pytest.mark.parametrize(
    "harm", [lambda raw: raw[:-20], lambda raw: raw[:50] + b"\0\1\2\3" + raw[54:], lambda raw: b"no"]
)
def test_a_damaged_archive_is_an_error_of_the_whole_file(tmp_path, suffix, harm):
    path = tmp_path / f"m{suffix}"
    path.write_bytes(harm(SUFFIXES[suffix](b"".join(b'{"line": %d}\n' % n for n in range(5000)))))
    with pytest.raises(ManifestError, match="damaged or cut"):
        list(read_chunks(path))


def test_a_file_that_cannot_be_read_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError):
        list(read_chunks(tmp_path / "absent.jsonl"))
