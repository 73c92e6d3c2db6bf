"""Small archives of endless text, blank lines and endless lines cost neither memory nor time nor room on the drive."""

import gzip
import json
import tracemalloc

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.errors import ManifestError
from beatsight_core.manifest import intake
from beatsight_core.manifest.parsing import parse as parsing
from beatsight_core.manifest.parsing.checks import Rules
from beatsight_core.manifest.parsing.lines import BLOCK_BYTES, MAX_LINE_BYTES, WHITESPACE, Chunk, solid_lines
from beatsight_core.manifest.parsing.parse import parse_lines
from beatsight_core.manifest.read_manifest import build_catalog
from beatsight_core.settings import load_settings
from beatsight_core.taxonomy import CORE

RULES = Rules(CORE, frozenset())
PACK = {".jsonl.gz": gzip.compress, ".jsonl.zst": zstandard.ZstdCompressor().compress, ".jsonl": bytes}


def line(number):
    event = {
        "event_id": f"e{number}", "session_id": "s", "source_set": "t", "audio_path": "a.wav",
        "onset_time": number / 2, "components": [{"label": "kick"}],
    }  # fmt: skip
    return json.dumps(event).encode() + b"\n"


@pytest.fixture
def catalog_of(tmp_path):
    def build(text, suffix=".jsonl", **options):
        path = tmp_path / f"m{suffix}"
        path.write_bytes(PACK[suffix](text))
        return build_catalog(load_settings(tmp_path / "root", {}), path, **options)

    return build


pieces = st.sampled_from([b"", b" ", b"\t\r", b"x", b" x ", b"\0", b"{}", b"y" * 150, b"\x0b"])


@settings(max_examples=80, deadline=None)
@given(st.lists(pieces, max_size=40), st.sampled_from([b"", b"\n"]))
def test_lines_are_those_of_a_plain_split(rows, end):
    block = b"\n".join(rows) + end
    whole = block.split(b"\n")
    if not whole[-1]:
        whole.pop()
    starts = np.cumsum([0, *(len(row) + 1 for row in whole)])[:-1].tolist() if whole else []
    wanted = [(row, place, starts[place]) for place, row in enumerate(whole) if row.strip(WHITESPACE)]
    found = solid_lines(block)
    assert found.total == len(whole)
    assert list(zip(found.lines, found.places.tolist(), found.offsets.tolist(), strict=True)) == wanted


BLANKS = {"breaks": b"\n", "CRLF": b"\r\n", "spaces": b" " * 70 + b"\n", "wide": b" " * 3000 + b"\n", "tabs": b"\t\n"}


@pytest.mark.parametrize("kind", BLANKS)
def test_blank_blocks_are_counted_and_no_line_of_them_is_looked_at(monkeypatch, kind):
    def refuse(*_, **__):
        raise AssertionError("a line was looked at")

    monkeypatch.setattr(parsing.LineSchema, "decode", refuse)
    monkeypatch.setattr(parsing.checks, "read_event", refuse)
    block = BLANKS[kind] * (BLOCK_BYTES // len(BLANKS[kind]))
    result = parse_lines([block] * 3, 0, RULES)
    assert (result.lines, result.read) == (3 * block.count(b"\n"), 0)


@pytest.mark.parametrize("kind", BLANKS)
def test_events_among_blank_lines_are_still_read_all_at_once(monkeypatch, kind):
    monkeypatch.setattr(parsing.checks, "read_event", None)  # a call of it would fail
    gap = BLANKS[kind] * 400
    block = gap + line(1) + gap + line(2) + line(3) + gap
    result = parse_lines([block], 50, RULES)
    assert (result.lines, result.read, result.rejections) == (block.count(b"\n"), 3, [])
    assert [row["line"] for row in result.events.to_pylist()] == [400, 801, 802]
    assert result.offsets.tolist() == [50 + len(gap), 50 + 2 * len(gap) + len(line(1)), 50 + 2 * len(gap + line(1))]


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("kind", BLANKS)
def test_a_manifest_of_mostly_blank_lines_is_that_of_its_events(catalog_of, suffix, kind):
    gap = BLANKS[kind] * ((3 << 20) // len(BLANKS[kind]))
    catalog = catalog_of(line(1) + gap + line(2) + gap + b"{}\n" + gap, suffix)
    assert (catalog.summary.read, catalog.summary.kept) == (3, 2)
    refused = json.loads(catalog.rejected_path.read_bytes())
    assert refused["line"] == 3 + 2 * gap.count(b"\n")
    assert refused["offset"] == len(line(1) + gap + line(2) + gap)


def test_a_limit_counts_no_blank_line(catalog_of):
    catalog = catalog_of(b"\n\n" + line(1) + b"\n" * 300 + line(2) + line(3), limit=2)
    assert (catalog.summary.read, catalog.summary.kept) == (2, 2)


def test_a_long_line_is_searched_once_and_held_once(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_bytes(line(1) + b"x" * (MAX_LINE_BYTES - 8 * BLOCK_BYTES) + b"\n" + line(2))
    size = path.stat().st_size
    tracemalloc.start()
    blocks = list(Chunk(0, size).blocks(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert b"".join(blocks) == path.read_bytes()
    assert [block.count(b"\n") for block in blocks] == [1, 2]
    assert peak < 2.6 * MAX_LINE_BYTES  # its parts, and the whole


NONSENSE = {"empty": b"{}\n", "1": b"1\n", "null": b"null\n", "part": b'{"event_id":"e"}\n', "repeated": line(1)}


@pytest.mark.parametrize("kind", NONSENSE)
def test_endless_nonsense_is_given_up(catalog_of, monkeypatch, tmp_path, kind):
    monkeypatch.setattr(parsing, "MOST_REFUSED", 6000)
    monkeypatch.setattr(intake, "GIVE_UP", 8000)
    with pytest.raises(ManifestError, match=r"Only 1 of the manifest's first [0-9,]+ lines are valid events"):
        catalog_of(line(1) + NONSENSE[kind] * 50_000, ".jsonl.zst")
    assert not list((tmp_path / "root" / "catalog").glob("*/summary.json"))


def test_a_chunk_of_nonsense_among_good_ones_is_given_up_too(catalog_of, monkeypatch):
    monkeypatch.setattr(parsing, "MOST_REFUSED", 3000)
    good = b"".join(map(line, range(4000)))
    with pytest.raises(ManifestError, match="lines are valid events"):
        catalog_of(good + b"{}\n" * 5000, ".jsonl.gz")


def test_many_refused_lines_among_events_are_no_nonsense(catalog_of, monkeypatch):
    monkeypatch.setattr(intake, "GIVE_UP", 100)
    catalog = catalog_of(b"".join(line(number) + b"{}\n" * 90 for number in range(20)))
    assert (catalog.summary.kept, catalog.summary.rejected) == (20, 1800)
