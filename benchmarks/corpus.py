"""The benchmark corpus: audio of drum-like strokes in mixed formats, and manifests of any size over it.

Everything is a function of the arguments: the same ones give the same manifests byte for byte, and the same audio (its
bytes also depend on libsndfile). Three source sets, as a production manifest has them:

    slakh2100             44.1 kHz mono FLAC, 16 bits     84 % of the sessions
    groove_mididataset    44.1 kHz stereo WAV, 16 bits    14 %
    cambridge_multitrack  48 kHz stereo WAV, 24 bits       2 %

A recording lasts 60 to 180 s. A third of the events are two or three strokes at once; some recordings begin with a hit
before its pre-roll fits, or end within the tail of one. `--manifest-only-events N` writes a manifest of N events in
virtual sessions over the recordings that are there, to measure what grows with the manifest alone.
"""

import argparse
import functools
import json
import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from benchmarks.playing import COMPONENTS, FIRST_VIRTUAL, SEED, event_lines, perform
from benchmarks.recordings import Size, recording_of

FORMAT = 1
"""Grows when the same arguments give other bytes."""

EVENTS = "events.jsonl"
RECEIPT = "receipt.json"
VIRTUAL_EVENTS = 870
"""Events of a virtual session."""


def make_corpus(data: Path, size: Size, say: Callable[[str], None] = print) -> Path:
    """Make the corpus below `data`, or find that it is there; returns its folder, with `raw/` and `events.jsonl`."""
    folder = data / size.name
    if not _is_whole(folder, size):
        say(f"making {size.sessions} recordings in {folder}")
        with _pool() as pool:
            made = list(pool.map(functools.partial(record, folder, size), range(size.sessions)))
        lines = chain.from_iterable(event_lines(recording_of(n, size), n, size.events) for n in range(size.sessions))
        manifest_bytes = write_lines(folder / EVENTS, lines)
        receipt = {"made_from": _made_from(size), "files": dict(made), "manifest_bytes": manifest_bytes}
        (folder / RECEIPT).write_text(json.dumps(receipt))
    return folder


def make_manifest(folder: Path, size: Size, events: int, say: Callable[[str], None] = print) -> Path:
    """Write a manifest of `events` events over a corpus that is there, or find it; returns its path.

    Args:
        folder: Of the corpus.
        size: Of the corpus.
        events: Lines wanted.
        say: Told when it is made.
    """
    path = folder / f"events_{events}.jsonl"
    receipt = path.with_suffix(".receipt.json")
    if receipt.exists():
        told = json.loads(receipt.read_text())
        if told["made_from"] == _made_from(size) and path.exists() and path.stat().st_size == told["bytes"]:
            return path
    say(f"writing {events:,} events to {path}")
    virtual = range(-(-events // VIRTUAL_EVENTS))
    with _pool() as pool:
        parts = pool.map(functools.partial(_virtual_session, size, events), virtual, chunksize=16)
        written = write_lines(path, parts)
    receipt.write_text(json.dumps({"made_from": _made_from(size), "bytes": written}))
    return path


def _virtual_session(size: Size, events: int, number: int) -> bytes:
    """The lines of a virtual session over one of the recordings, which it spreads evenly over."""
    place = (number * 37) % size.sessions
    count = min(VIRTUAL_EVENTS, events - number * VIRTUAL_EVENTS)
    seconds = perform(place, size.events).seconds
    return b"".join(event_lines(recording_of(place, size), FIRST_VIRTUAL + number, count, seconds))


def record(folder: Path, size: Size, number: int) -> tuple[str, int]:
    """Synthesise one recording; its path below the corpus's folder and its bytes."""
    recording, played = recording_of(number, size), perform(number, size.events)
    source = recording.source
    rng = np.random.default_rng([SEED, number, 1])
    kit = [_stroke(rng, source.rate_hz) for _ in COMPONENTS]
    frames = round(played.seconds * source.rate_hz)
    audio = np.zeros((frames + 2 * source.rate_hz, source.channels), dtype=np.float32)
    starts = np.round(played.onsets * source.rate_hz).astype(int)
    for start, labels, velocities in zip(starts, played.labels, played.velocities, strict=True):
        for label, velocity in zip(labels[labels >= 0], velocities[labels >= 0], strict=True):
            stroke = kit[label]
            panned = 1.0 - 0.4 * np.arange(source.channels) * (label % 5) / 4.0
            audio[start : start + len(stroke)] += 0.35 * velocity**1.5 * stroke[:, None] * panned
    audio = audio[:frames] + 0.002 * rng.standard_normal((frames, source.channels), dtype=np.float32)
    path = folder / "raw" / source.name / recording.audio_path
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.clip(audio, -0.99, 0.99), source.rate_hz, subtype=source.subtype)
    return str(path.relative_to(folder)), path.stat().st_size


def _stroke(rng: Any, rate_hz: int) -> Any:
    """A decaying tone with noise, peak 1: each component of each kit has its own."""
    time = np.arange(int(rng.uniform(0.12, 0.9) * rate_hz), dtype=np.float32) / rate_hz
    tone = np.sin(2.0 * np.pi * np.exp(rng.uniform(np.log(55.0), np.log(7000.0))) * time)
    noisy = rng.uniform(0.05, 0.95)
    hit = (1.0 - noisy) * tone + noisy * rng.standard_normal(len(time), dtype=np.float32)
    hit *= np.exp(-time * (7.0 / time[-1]))
    return (hit / np.abs(hit).max()).astype(np.float32)


def _pool() -> ProcessPoolExecutor:
    """A process per core, none of them a copy of this one, which may have threads."""
    return ProcessPoolExecutor(mp_context=multiprocessing.get_context("forkserver"))


def write_lines(path: Path, lines: Iterable[bytes]) -> int:
    """Write a file whole or not at all; its bytes."""
    temporary = path.with_suffix(".part")
    with temporary.open("wb", buffering=1 << 20) as handle:
        for line in lines:
            handle.write(line)
    temporary.replace(path)
    return path.stat().st_size


def _is_whole(folder: Path, size: Size) -> bool:
    if not (folder / RECEIPT).exists():
        return False
    told = json.loads((folder / RECEIPT).read_text())
    files = {**told["files"], EVENTS: told["manifest_bytes"]}
    return told["made_from"] == _made_from(size) and all(
        (folder / name).is_file() and (folder / name).stat().st_size == count for name, count in files.items()
    )


def _made_from(size: Size) -> dict[str, int]:
    return {**asdict(size), "seed": SEED, "format": FORMAT}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder that gets the corpus's own folder")
    parser.add_argument("--sessions", type=int, default=100, help="recordings (default 100)")
    parser.add_argument("--events-per-session", type=int, default=200, help="events in each (default 200)")
    parser.add_argument("--manifest-only-events", type=int, metavar="N", help="also write a manifest of N events")
    given = parser.parse_args(arguments)
    size = Size(given.sessions, given.events_per_session)
    folder = make_corpus(given.out, size)
    path = folder / EVENTS
    if given.manifest_only_events:
        path = make_manifest(folder, size, given.manifest_only_events)
    print(path, f"{path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
