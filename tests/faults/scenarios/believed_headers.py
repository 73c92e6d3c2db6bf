"""Headers that lie about rate, channels, bits, sizes or counts: each file is one reason for its own hits, or exported.

Files of all containers as libsndfile writes them, one field of each changed. They lie among good files, are exported
together, and are weighed one by one.
"""

import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

from tests.faults.corpus import RATE_HZ, Corpus
from tests.faults.lab import MANIFEST, Lab, Tally
from tests.faults.lies import SECONDS, Lie, make

PLACE, WHOLE, SHORT = 10, 2000, 60

BATCH = 200
"""Lying files of one manifest."""

GOOD = 5
"""Good files among them."""

_NOISE = re.compile(r"mpg123|^Warning:|^Note:|Exception ignored|Traceback", re.MULTILINE)
"""What decoders, and Python about them, print."""

MOST_BYTES, MOST_SECONDS = 1 << 30, 2.0

ONSETS = (0.1, 0.5, 0.9)


def run(lab: Lab, rounds: int, rng: random.Random) -> Iterator[Tally]:
    """Export `rounds` lying files, and weigh each."""
    exported, weighed = Tally("lying files among good ones, exported"), Tally("lying files, weighed one by one")
    weighed.figures = {"most_MiB": 0, "most_ms": 0}
    while exported.tried < rounds:
        root = lab.new_folder()
        folder = root / "raw" / "lies"
        folder.mkdir(parents=True)
        lies = {}
        for number in range(min(BATCH, rounds - exported.tried)):
            lie = make(rng)
            lies[f"{number:05d}.{lie.suffix}"] = lie
        for name, lie in lies.items():
            (folder / name).write_bytes(lie.data)
        _export(lab, root, lies, exported)
        _weigh(folder, lies, weighed)
        shutil.rmtree(root)
    yield exported
    yield weighed


def _export(lab: Lab, root: Path, lies: dict[str, Lie], tally: Tally) -> None:
    good = [f"good{number}.wav" for number in range(GOOD)]
    (root / "raw" / "good").mkdir()
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, round(SECONDS * RATE_HZ))
    for name in good:
        sf.write(root / "raw" / "good" / name, noise, RATE_HZ)
    events = [*_events("lies", lies), *_events("good", good)]
    corpus = Corpus(root / "elsewhere", tuple(json.dumps(event).encode() + b"\n" for event in events))
    corpus.write_settings(root)
    corpus.write_manifest(root / "manifests" / MANIFEST)
    verified = json.loads(lab.run(["verify", MANIFEST, "--deep", "--json"], root).out or "{}")
    ended = lab.run(["export", MANIFEST, "--workers", "1", "--json"], root)
    tally.tried += len(lies)
    if not tally.expect(ended.code == 0, f"the export ended with {ended.code}: {ended.errors[-400:]}"):
        return
    result = json.loads(ended.out)
    kept = result["clips_by_source"]
    tally.expect(kept["good"] == GOOD * len(ONSETS), f"{kept['good']} clips of good files")
    tally.expect(result["hits"] + result["rejected"] == len(events), f"{result['hits']} + {result['rejected']} hits")
    tally.expect(not _NOISE.search(ended.errors), f"said on the terminal: {ended.errors[-300:]!r}")
    silent = result["rejects_by_reason"]["silent_audio"]  # which only the export hears
    foretold = verified.get("clips", 0) - silent
    tally.expect(foretold == result["hits"], f"verify saw {foretold} of {result['hits']}")
    index = json.loads(next((root / "datasets").glob("takes-*/lies.json")).read_text())
    tally.count("clips", kept.get("lies", 0))
    for reason, hits in index["rejected"].items():
        if hits:
            tally.count(reason, hits)
    for lost in index["rejected_files"]:
        lie = lies[lost["audio_path"]]
        tally.expect(bool(lost["message"]), f"{lie.about} = {lie.value}: lost without a word")


def _weigh(folder: Path, lies: dict[str, Lie], tally: Tally) -> None:
    """What reading each file takes, in a process of its own for the batch."""
    command = [sys.executable, "-m", "tests.faults.weigh", str(folder)]
    where = Path(__file__).parents[3]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=where, env=dict(os.environ), check=False)
    tally.expect(ended.returncode == 0, f"weighing ended with {ended.returncode}: {ended.stderr[-400:]}")
    tally.expect(ended.stderr == "", f"said on the terminal: {ended.stderr[-300:]!r}")
    weights = [json.loads(line) for line in ended.stdout.splitlines()]
    tally.tried += len(lies)
    tally.expect(len(weights) == len(lies), f"{len(weights)} of {len(lies)} weighed")
    for weight in weights:
        lie = lies[weight["name"]]
        case = f"{lie.about} = {lie.value}"
        tally.expect(weight["bytes"] <= MOST_BYTES, f"{case}: {weight['bytes'] >> 20} MiB")
        tally.expect(weight["seconds"] <= MOST_SECONDS, f"{case}: {weight['seconds']} s")
        tally.figures["most_MiB"] = max(tally.figures["most_MiB"], weight["bytes"] >> 20)
        tally.figures["most_ms"] = max(tally.figures["most_ms"], round(1000 * weight["seconds"]))
        if weight["status"] != "ok":
            tally.count("refused")
            tally.expect(_names(weight["message"]), f"{case}: refused as {weight['message']!r}")
        elif weight["message"]:
            tally.count("taken with a note")


def _names(message: str) -> bool:
    """Whether a reason says what the header said, or that nothing behind it is audio."""
    found = ("nothing of it decodes", "not numbers", "beyond all sound", "not audio", "not recognised")
    return "header" in message or "none of audio" in message or any(words in message for words in found)


def _events(source: str, names: Any) -> list[dict[str, Any]]:
    return [
        {"event_id": f"{source}/{name}/{place}", "session_id": f"{source}/{name}", "source_set": source,
         "audio_path": name, "onset_time": onset, "components": [{"label": "kick"}]}
        for name in names
        for place, onset in enumerate(ONSETS)
    ]  # fmt: skip
