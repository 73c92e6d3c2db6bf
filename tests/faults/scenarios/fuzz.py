"""Manifests of nonsense: every line is kept or rejected, for a reason, and nothing else happens.

Lines made up by hypothesis, of almost valid events and of any bytes; and valid lines mutated, a million of them.
"""

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import polars as pl
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from beatsight_core.errors import ManifestError
from beatsight_core.manifest.parsing.checks import REASONS
from beatsight_core.manifest.read_manifest import build_catalog
from beatsight_core.settings import load_settings
from tests.faults.lab import Lab, Tally

PLACE, WHOLE, SHORT = 5, 10_000, 40

MUTATED = 100
"""Mutated lines for each made-up case."""

LINES = 100_000
"""Mutated lines in a manifest."""

_BLANK = b" \t\r\n"
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
_ANYTHING = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)
_COMPONENT = st.fixed_dictionaries(
    {"label": st.sampled_from(["kick", "snare", "china2", "hihat_closed"])},
    optional={"velocity": st.floats(0, 1), "openness": st.integers(0, 1), "x": st.integers()},
)
_VALID: dict[str, st.SearchStrategy[Any]] = {
    "event_id": st.integers(0, 99).map(str),
    "session_id": st.sampled_from(["s", "t", "../s", "/"]),
    "source_set": st.sampled_from(["kits", "loops", "../kits", "ünï"]),
    "audio_path": st.sampled_from(["a.wav", "b/c.flac", "é/ö.flac"]),
    "onset_time": st.floats(0, 9) | st.integers(0, 9),
    "components": st.lists(_COMPONENT, min_size=1, max_size=3),
}
_OPTIONAL: dict[str, st.SearchStrategy[Any]] = {
    "techniques": st.lists(st.sampled_from(["flam", "drag"]), max_size=2),
    "is_synthetic": st.booleans(),
    "negative_example": st.booleans(),
    "context_ms": st.fixed_dictionaries({}, optional={"pre": st.floats(0, 500), "post": st.floats(0, 500)}),
    "loudness": st.fixed_dictionaries({}, optional={"LUFS_i": st.floats(-90, 0), "peak_dbfs": st.floats(-90, 0)}),
    "drummer_id": st.sampled_from(["d", "e"]),
    "licence": st.text(max_size=4),
    "something else": _ANYTHING,
}
_NAMES = [*_VALID, *_OPTIONAL]
_ODD: dict[str, st.SearchStrategy[Any]] = {
    "event_id": st.text(max_size=3),
    "session_id": st.sampled_from(["", "\x00", "\ud800", "x" * 5000]),
    "audio_path": st.sampled_from(
        ["../a.wav", "/a.wav", "C:\\a.wav", "a/\x00.wav", ".", "", "a" * 5000, "a//b", "\ud800"]
    ),
    "onset_time": st.floats() | st.integers(),
    "components": st.lists(st.fixed_dictionaries({"label": st.text(max_size=6)}, optional={"velocity": st.floats()})),
    "techniques": st.lists(_SCALARS, max_size=3),
    "context_ms": st.dictionaries(st.sampled_from(["pre", "post"]), _SCALARS),
    "loudness": st.dictionaries(st.sampled_from(["LUFS_i", "peak_dbfs"]), _SCALARS),
}


@st.composite
def _lines(draw: st.DrawFn) -> bytes:
    """One line: an event, an event with fields gone wrong, or any bytes."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=60)).replace(b"\n", b"")
    event = draw(st.fixed_dictionaries(_VALID, optional=_OPTIONAL))
    for name in draw(st.lists(st.sampled_from(_NAMES), max_size=2)) if draw(st.integers(0, 2)) == 0 else ():
        kind = draw(st.integers(0, 2))
        if kind == 0:
            event.pop(name, None)
        else:
            event[name] = draw(_ODD.get(name, _ANYTHING) if kind == 1 else _ANYTHING)
    return json.dumps(event, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")


MANIFESTS = st.lists(_lines(), min_size=1, max_size=8)


def run(lab: Lab, rounds: int, rng: random.Random) -> Iterator[Tally]:
    """Read `rounds` made-up manifests, and a hundred times as many mutated lines."""
    folder = lab.new_folder()
    folder.mkdir(parents=True)
    yield _made_up(folder, rounds, rng)
    yield _mutated(lab, folder, rounds * MUTATED, rng)
    shutil.rmtree(folder)


def _made_up(folder: Path, rounds: int, rng: random.Random) -> Tally:
    tally = Tally("made-up manifests")

    @seed(rng.randrange(1 << 30))
    @settings(
        max_examples=rounds, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(MANIFESTS, st.sampled_from([b"\n", b"\r\n"]))
    def read(lines: list[bytes], end: bytes) -> None:
        _read(folder, b"".join(line + end for line in lines), tally)

    read()
    return tally


def _mutated(lab: Lab, folder: Path, lines: int, rng: random.Random) -> Tally:
    tally = Tally("manifests of mutated lines")
    while lines > 0:
        count = min(lines, LINES)
        lines -= count
        _read(folder, b"".join(_mutate(rng.choice(lab.corpus.lines), number, rng) for number in range(count)), tally)
    return tally


def _read(folder: Path, text: bytes, tally: Tally) -> None:
    """Build a catalog of a text, and compare every count with what can be seen without it."""
    tally.tried += 1
    path, target = folder / "fuzz.jsonl", folder / "catalog"
    path.write_bytes(text)
    shutil.rmtree(target, ignore_errors=True)
    written = sum(bool(line.strip(_BLANK)) for line in text.removeprefix(b"\xef\xbb\xbf").split(b"\n"))
    tally.count("lines", written)
    case = f"{text[:200]!r}"
    try:
        summary = build_catalog(load_settings(folder, environment={}), path, folder=target).summary
    except ManifestError as error:
        tally.count("without a valid line")
        tally.expect("valid event" in error.what or not written, f"{case}: {error}")
        return
    except Exception as error:  # noqa: BLE001 - anything that comes out here is a finding
        tally.failures.append(f"{case}: {type(error).__name__}: {error}")
        return
    tally.count("kept", summary.kept)
    tally.count("rejected", summary.rejected)
    tally.expect(summary.kept + summary.rejected == summary.read == written, f"{case}: {summary.read} of {written}")
    _compare(target, text, summary.kept, tally, case)


def _compare(target: Path, text: bytes, kept: int, tally: Tally, case: str) -> None:
    """Rows and rejections are as many as the summary says, and each is a line of its own."""
    events = pl.read_parquet(target / "events.parquet")
    rejections = [orjson.loads(line) for line in (target / "rejected.jsonl").read_bytes().splitlines()]
    numbers = sorted([*events["line"].to_list(), *(rejection["line"] for rejection in rejections)])
    tally.expect(events.height == kept, f"{case}: {events.height} events")
    tally.expect(len(set(numbers)) == len(numbers), f"{case}: a line was counted twice")
    tally.expect(events["event_id"].n_unique() == events.height, f"{case}: an event id came twice")
    for rejection in rejections:
        tally.expect(rejection["reason"] in REASONS, f"{case}: reason {rejection['reason']!r}")
        offset = rejection["offset"]
        begins = offset in (0, 3) or text[offset - 1 : offset] == b"\n"
        tally.expect(begins, f"{case}: no line begins at {offset}")


def _mutate(line: bytes, number: int, rng: random.Random) -> bytes:
    """A line with an id of its own, and then something done to it, or nothing."""
    data = bytearray(line.replace(b'"event_id": "', f'"event_id": "{number} '.encode()))
    for _ in range(rng.choice((0, 1, 1, 1, 2, 5))):
        rng.choice(_MUTATIONS)(data, rng)
    return bytes(data)


def _replace_byte(data: bytearray, rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.randrange(256)


def _insert_byte(data: bytearray, rng: random.Random) -> None:
    data.insert(rng.randint(0, len(data)), rng.randrange(256))


def _delete(data: bytearray, rng: random.Random) -> None:
    start = rng.randint(0, len(data))
    del data[start : start + rng.choice((1, 2, 10))]


def _repeat(data: bytearray, rng: random.Random) -> None:
    start = rng.randint(0, len(data))
    data[start:start] = data[start : start + rng.randint(1, 20)]


def _swap_token(data: bytearray, rng: random.Random) -> None:
    """Put one JSON token where another was."""
    old, new = rng.choice(_TOKENS), rng.choice(_TOKENS)
    place = data.find(old)
    if place >= 0:
        data[place : place + len(old)] = new


_TOKENS = (
    b'"', b"{", b"}", b"[", b"]", b":", b",", b"null", b"true", b"NaN", b"-1", b"1e999", b"0.", b"1", b'""', b"\\u0000",
    b"\\ud800", b"../", b"/", b"kick", b"gong", b"label", b"components", b"onset_time", b"kits", b"\n", b"\r", b"\x00",
)  # fmt: skip
_MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _replace_byte, _insert_byte, _delete, _repeat, _swap_token,
)  # fmt: skip
