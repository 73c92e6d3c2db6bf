"""Audio that is not what it should be: quarantined with a reason, counted per source set, and held to the gates.

A drive that goes away half-way is one error about its root; when it is back, the same command goes on.
"""

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

from tests.faults.corpus import RATE_HZ, Corpus
from tests.faults.lab import MANIFEST, STATES, Lab, Tally, settings_of, subjects

PLACE, WHOLE, SHORT = 6, 20, 1

DAMAGED = 40
"""Randomly damaged files for each round."""

ONSETS = (0.1, 0.5, 0.9)
SECONDS = 1.2

Make = Callable[[Path, random.Random], None]


def run(lab: Lab, rounds: int, rng: random.Random) -> Iterator[Tally]:
    """Export `rounds` files of each kind, forty times as many damaged at random, and let a root vanish as often."""
    yield from _kinds(lab, rounds, rng)
    yield _damaged(lab, rounds * DAMAGED, rng)
    yield from _vanished(lab, rounds, rng)
    yield _gates(lab, whole=rounds >= WHOLE)


def _samples(rng: random.Random, channels: int = 1, rate: int = RATE_HZ) -> np.ndarray:
    noise = np.random.default_rng(rng.randrange(1 << 30)).uniform(-0.5, 0.5, (round(SECONDS * rate), channels))
    return noise.astype(np.float32)


def _whole(path: Path, rng: random.Random, **how: Any) -> None:
    sf.write(path, _samples(rng), RATE_HZ, **how)


def _cut(path: Path, rng: random.Random, least: float, most: float) -> None:
    """Cut within the samples, so that the first of the hits is whole, and the others are not."""
    _whole(path, rng)
    data = path.read_bytes()
    path.write_bytes(data[: rng.randrange(round(least * len(data)), round(most * len(data)))])


def _with_size(path: Path, rng: random.Random, factor: float) -> None:
    """A WAV whose header speaks of more or fewer samples than follow."""
    _whole(path, rng)
    data = bytearray(path.read_bytes())
    place = data.index(b"data") + 4
    size = int.from_bytes(data[place : place + 4], "little")
    data[place : place + 4] = int(size * factor // 2 * 2).to_bytes(4, "little")
    path.write_bytes(data)


def _with_value(path: Path, rng: random.Random, value: float) -> None:
    samples = _samples(rng)
    samples[rng.randrange(len(samples))] = value
    sf.write(path, samples, RATE_HZ, subtype="FLOAT")


def _opposed(path: Path, rng: random.Random) -> None:
    samples = _samples(rng)
    sf.write(path, np.concatenate((samples, -samples), axis=1), RATE_HZ, subtype="FLOAT")


KINDS: dict[str, tuple[str, str, Make]] = {
    "empty": ("wav", "unreadable_audio", lambda path, _: path.write_bytes(b"") and None),
    "text": ("wav", "unreadable_audio", lambda path, _: path.write_text("no audio\n") and None),
    "random bytes": ("flac", "unreadable_audio", lambda path, rng: path.write_bytes(rng.randbytes(5000)) and None),
    "no samples": ("wav", "unreadable_audio", lambda path, _: sf.write(path, np.zeros(0), RATE_HZ)),
    "a folder": ("wav", "unreadable_audio", lambda path, _: path.mkdir()),
    "a pipe": ("wav", "unreadable_audio", lambda path, _: os.mkfifo(path)),
    "cut WAV": ("wav", "past_end", lambda path, rng: _cut(path, rng, 0.2, 0.45)),
    "cut FLAC": ("flac", "truncated_audio", lambda path, rng: _cut(path, rng, 0.45, 0.8)),
    "header promises more": ("wav", "", lambda path, rng: _with_size(path, rng, 1.5)),
    "header promises less": ("wav", "past_end", lambda path, rng: _with_size(path, rng, 0.5)),
    "NaN": ("wav", "unreadable_audio", lambda path, rng: _with_value(path, rng, float("nan"))),
    "infinity": ("wav", "unreadable_audio", lambda path, rng: _with_value(path, rng, float("inf"))),
    "missing": ("wav", "missing_audio", lambda path, _: None),
    "a link that leads nowhere": ("wav", "missing_audio", lambda path, _: path.symlink_to("nowhere.wav")),
    "another rate": ("wav", "", lambda path, rng: sf.write(path, _samples(rng, rate=11025), 11025)),
    "six channels": ("wav", "", lambda path, rng: sf.write(path, _samples(rng, 6), RATE_HZ)),
    "opposite polarity": ("wav", "opposite_polarity", _opposed),
    "silence": ("wav", "silent_audio", lambda path, _: sf.write(path, np.zeros(round(SECONDS * RATE_HZ)), RATE_HZ)),
}
"""Kind -> suffix, the reason that its hits are counted under (none: they become clips), how it is made."""

HITS = {"header promises less": 1, "cut WAV": 2, "cut FLAC": 2}
"""Kind -> hits of a file that its reason takes, if not all."""


def _kinds(lab: Lab, files: int, rng: random.Random) -> list[Tally]:
    """One source set for each kind, exported at once."""
    root = lab.new_folder()
    events = []
    for number, (kind, (suffix, _, make)) in enumerate(KINDS.items()):
        source = f"kind{number:02d}"
        (root / "raw" / source).mkdir(parents=True)
        for place in range(files):
            name = f"{place:03d}.{suffix}"
            make(root / "raw" / source / name, rng)
            events += _events(source, name, ONSETS)
        (root / "raw" / source / "kept.txt").write_text(kind)
    more = "\n".join(f"[sources.kind{number:02d}]\nexpected_sample_rate_hz = {RATE_HZ}" for number in range(len(KINDS)))
    result, inventory = _export(lab, root, events, more)
    tallies = []
    for number, (kind, (_, reason, _)) in enumerate(KINDS.items()):
        source = f"kind{number:02d}"
        tally = Tally(f"files: {kind}", tried=files)
        index = json.loads(next((root / "datasets").glob(f"takes-*/{source}.json")).read_text())
        lost = {name: count for name, count in index["rejected"].items() if count}
        wanted = {reason: files * HITS.get(kind, len(ONSETS))} if reason else {}
        tally.figures = {"clips": index["counts"]["clips"], **lost}
        tally.expect(lost == wanted, f"{kind}: {lost} were lost, not {wanted}")
        clips = files * len(ONSETS) - sum(wanted.values())
        tally.expect(index["counts"]["clips"] == clips, f"{kind}: {index['counts']['clips']} clips, not {clips}")
        named = {entry["audio_path"] for entry in index["rejected_files"]}
        tally.expect(len(named) == (files if reason else 0), f"{kind}: {len(named)} files are named")
        surprises = inventory["by_source"][source]["unexpected_rate"] if kind == "another rate" else 0
        tally.expect(surprises == (files if kind == "another rate" else 0), f"{kind}: {surprises} files surprise")
        tallies.append(tally)
    tallies[0].expect(result["hits"] + result["rejected"] == len(events), "hits do not add up")
    shutil.rmtree(root)
    return tallies


def _damaged(lab: Lab, files: int, rng: random.Random) -> Tally:
    """Bytes overwritten, removed or put in, anywhere in files of several formats: whatever comes of it is counted."""
    tally = Tally("files damaged at random", tried=files)
    root = lab.new_folder()
    folder = root / "raw" / "damaged"
    folder.mkdir(parents=True)
    events = []
    for number in range(files):
        name = f"{number:05d}.{rng.choice(('wav', 'flac', 'ogg', 'aiff'))}"
        _whole(folder / name, rng)
        data = bytearray((folder / name).read_bytes())
        for _ in range(rng.choice((1, 3, 30))):
            place = rng.randrange(rng.choice((100, len(data))))
            kind = rng.randrange(3)
            if kind == 0:
                data[place] = rng.randrange(256)
            elif kind == 1:
                del data[place : place + rng.choice((1, 4, 100))]
            else:
                data[place:place] = rng.randbytes(rng.choice((1, 4, 100)))
        (folder / name).write_bytes(data)
        events += _events("damaged", name, ONSETS)
    result, _ = _export(lab, root, events)
    tally.figures = {"clips": result["hits"], **{name: n for name, n in result["rejects_by_reason"].items() if n}}
    tally.expect(result["hits"] + result["rejected"] == len(events), f"{result['hits']} + {result['rejected']} hits")
    shutil.rmtree(root)
    return tally


def _vanished(lab: Lab, rounds: int, rng: random.Random) -> list[Tally]:
    """The drive of a source set goes away as some file of it is about to be opened."""
    tallies = []
    chosen = [subjects()[f"export, {workers}"] for workers in ("1 worker", "2 workers")[: 2 if rounds > 1 else 1]]
    for subject in chosen:
        tally = Tally(f"{subject.name}: a root vanishes half-way")
        for number in range(rounds):
            state = STATES[number % len(STATES)]
            whole = lab.whole(subject, state)
            root, audio = lab.fresh_root(subject, state), lab.new_folder()
            shutil.copytree(lab.corpus.audio, audio)  # its own, as the other files of the lab are in use
            settings = root / "beatsight.toml"
            settings.write_text(settings.read_text().replace(str(lab.corpus.audio), str(audio)))
            kits = audio / "kits"
            plan = {"folder": str(kits), "at": rng.randint(1, 40), "act": f"vanish:{kits}", "reads": True}
            ended = lab.run(subject.arguments(root), root, plan=plan)
            case = f"{state}, at file {plan['at']}"
            tally.tried += 1
            gone = kits.with_name("kits.gone")
            if gone.exists():
                tally.count("while it worked")
                said = [line for line in ended.errors.splitlines() if line.startswith("Error: ")]
                about = len(said) == 1 and str(kits) in said[0] and "vanished" in said[0]
                tally.expect(ended.code == 3 and about, f"{case}: ended with {ended.code}: {ended.errors[-400:]}")
                lab.check_readers(subject, root, whole, tally, case)
                gone.rename(kits)
            lab.must(subject.arguments(root), root)
            found = subject.look(settings_of(root))
            tally.expect(dict(found) == dict(whole.after), f"{case}: ends differently")
            shutil.rmtree(root)
            shutil.rmtree(audio)
        tallies.append(tally)
    return tallies


def _gates(lab: Lab, *, whole: bool) -> Tally:
    """At each limit the gate passes, one event beyond it fails: 0.1 % of all events, 1 % of a source set."""
    tally = Tally("gates: 0.1 % of all events, 1 % of a source set")
    losses = ("missing", "empty", "text", "NaN") if whole else ("missing",)
    for kind in losses:
        cases = (
            (0, 2, {"all": True, "few": False}),
            (3, 1, {"all": False, "few": True}),
            (0, 1, {"all": True, "few": True}),
            (2, 1, {"all": True, "few": True}),
        )
        for lost_of_many, lost_of_few, passes in cases if whole else cases[:2]:
            tally.tried += 1
            gates = _health(lab, kind, lost_of_many, lost_of_few)
            case = f"{kind}, {lost_of_many} of 2,900 and {lost_of_few} of 100"
            for name, good in passes.items():
                named = {"all": ("events without usable audio", "hits without a clip"),
                         "few": ("events of few without usable audio", "hits of few without a clip")}[name]  # fmt: skip
                found = {gate["name"]: gate["passed"] for gate in gates if gate["name"] in named}
                tally.expect(len(found) == 2, f"{case}: gates {sorted(found)} instead of {named}")
                judged = all(found.values()) if good else not found.get(named[1], True)
                tally.expect(judged, f"{case}: {found}")
    return tally


def _health(lab: Lab, kind: str, lost_of_many: int, lost_of_few: int) -> list[dict[str, Any]]:
    """The gates of a corpus of 2,900 events in one source set and 100 in another, of which some have bad audio."""
    root = lab.new_folder()
    events = []
    rng = random.Random(0)
    suffix, _, make = KINDS[kind]
    for source, count, lost in (("many", 2900, lost_of_many), ("few", 100, lost_of_few)):
        folder = root / "raw" / source
        folder.mkdir(parents=True)
        good = count - lost
        onsets = [0.05 * place for place in range(good)]
        sf.write(folder / "good.wav", np.full(round((onsets[-1] + 1) * RATE_HZ), 0.1), RATE_HZ)
        events += _events(source, "good.wav", onsets)
        if lost:
            make(folder / f"bad.{suffix}", rng)
            events += _events(source, f"bad.{suffix}", [0.1 + 0.05 * place for place in range(lost)])
    _export(lab, root, events)
    ended = lab.run(["health", MANIFEST, "--json"], root)
    shutil.rmtree(root)
    gates: list[dict[str, Any]] = json.loads(ended.out)["gates"]
    return gates


def _export(
    lab: Lab, root: Path, events: list[dict[str, Any]], more: str = ""
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Export events in one process; what it says, and the audio inventory."""
    lines = tuple(json.dumps(event).encode() + b"\n" for event in events)
    corpus = Corpus(root / "elsewhere", lines)
    corpus.write_settings(root, more=more)
    corpus.write_manifest(root / "manifests" / MANIFEST)
    ended = lab.must(["export", MANIFEST, "--workers", "1", "--json"], root)
    inventory = json.loads(next((root / "catalog").glob("takes-*/inventory.json")).read_text())
    return json.loads(ended.out), inventory


def _events(source: str, name: str, onsets: Any) -> list[dict[str, Any]]:
    return [
        {
            "event_id": f"{source}/{name}/{place}", "session_id": f"{source}/{name}", "source_set": source,
            "audio_path": name, "onset_time": round(float(onset), 6), "components": [{"label": "kick"}],
        }
        for place, onset in enumerate(onsets)
    ]  # fmt: skip
