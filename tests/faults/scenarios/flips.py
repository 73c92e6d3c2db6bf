"""Bytes that rot: single bits flipped, files cut short.

`--verify` names exactly the damaged files; `--heal` makes exactly those again, with the same bytes as before.
"""

import json
import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from beatsight_core.manifest.read_manifest import open_catalog
from beatsight_core.manifest.sampling import read_sampling
from tests.faults.lab import Lab, Tally, content, settings_of, subjects
from tests.faults.subjects.export import EXPORT
from tests.faults.subjects.features import FEATURES

PLACE, WHOLE, SHORT = 3, 1000, 4

TRUNCATIONS = 5
"""One truncation for so many flips."""

EDGE = 256
"""Headers and footers are hit far oftener than by chance: so many bytes at either end get two flips of three."""


@dataclass(frozen=True)
class Kind:
    """A kind of file that is verified.

    Attributes:
        name: In reports.
        pattern: Where its files lie in a data root.
        verb: Whose `--verify` and `--heal` look after it.
        share: Of all flips.
        at_once: Most files damaged at a time.
    """

    name: str
    pattern: str
    verb: list[str]
    share: float
    at_once: int


KINDS = (
    Kind("shards", "datasets/shards/*/*.parquet", EXPORT, 0.4, 6),
    Kind("indexes", "datasets/takes-*/*.json", EXPORT, 0.1, 2),
    Kind("catalog", "catalog/takes-*/*", EXPORT, 0.15, 1),
    Kind("features", "features/*/*.safetensors", FEATURES, 0.35, 6),
)
REMEMBERED = (
    "catalog/audio/*", "catalog/takes-*/inventory.*", "catalog/takes-*/sessions.parquet", "catalog/.digests/*",
    "features/*/spec.json",
)  # fmt: skip
"""What is only remembered to save work: its reader makes it anew, and nothing may come of its loss."""


def run(lab: Lab, rounds: int, rng: random.Random) -> Iterator[Tally]:
    """Flip `rounds` bits, and cut files a fifth as often."""
    root = lab.fresh_root(subjects()["features"], "fresh")
    lab.must(FEATURES, root)
    for kind in KINDS:
        flips = max(round(rounds * kind.share), 1)
        yield _damage(lab, root, kind, flips, rng, cut=False)
        yield _damage(lab, root, kind, max(flips // TRUNCATIONS, 1), rng, cut=True)
    yield _forget(lab, root, max(rounds // 10, 1), rng)
    shutil.rmtree(root)


def _damage(lab: Lab, root: Path, kind: Kind, times: int, rng: random.Random, *, cut: bool) -> Tally:
    tally = Tally(f"{kind.name}: {'cut short' if cut else 'a bit flipped'}")
    files = sorted(set(root.glob(kind.pattern)) - set(_remembered(root)))
    whole = content(root)
    while tally.tried < times:
        chosen = rng.sample(files, min(kind.at_once, len(files), times - tally.tried))
        saved = {path: path.read_bytes() for path in chosen}
        inodes = {path: path.stat().st_ino for path in files if path not in chosen}
        what = [_cut(path, rng) if cut else _flip(path, rng) for path in chosen]
        case = ", ".join(what)
        tally.tried += len(chosen)
        checked = lab.run([*kind.verb, "--verify", "--json"], root)
        result = json.loads(checked.out or "{}")
        found = {Path(name) for name in [*result.get("broken", []), *result.get("missing", [])]}
        tally.count("found", len(found & set(chosen)))
        good = tally.expect(checked.code == 1, f"{case}: --verify ended with {checked.code}: {checked.errors[-300:]}")
        good &= tally.expect(found == set(chosen), f"{case}: --verify named {sorted(path.name for path in found)}")
        healed = lab.run([*kind.verb, "--heal", "--json"], root)
        good &= tally.expect(healed.code == 0, f"{case}: --heal ended with {healed.code}: {healed.errors[-300:]}")
        good &= tally.expect(content(root) == whole, f"{case}: healed differs")
        if kind.name != "catalog":  # it is one folder, made as one
            touched = sum(path.stat().st_ino != inode for path, inode in inodes.items())
            good &= tally.expect(not touched, f"{case}: {touched} sound files were made again")
        tally.count("healed", len(chosen) if good else 0)
        if not good:
            for path, data in saved.items():
                path.write_bytes(data)
    return tally


def _forget(lab: Lab, root: Path, times: int, rng: random.Random) -> Tally:
    """Damage what is only remembered: the verbs go on as if it were not there."""
    tally = Tally("remembered probes and digests: flipped or cut")
    whole = lab.whole(subjects()["features"], "fresh").content
    files, weights = _remembered(root), _weights(root)
    for number in range(times):
        path = rng.choice(files)
        data = path.read_bytes()
        case = _cut(path, rng) if number % 3 == 0 else _flip(path, rng)
        tally.tried += 1
        for verb in (EXPORT, FEATURES):
            ended = lab.run(verb, root)
            tally.expect(ended.code == 0, f"{case}: {verb[0]} ended with {ended.code}: {ended.errors[-300:]}")
        found = content(root)
        wrong = [name for name in whole if found.get(name) != whole[name] and not (root / name).samefile(path)]
        tally.expect(not wrong, f"{case}: {wrong[:3]} differ")
        tally.expect(_weights(root).equals(weights), f"{case}: sessions weigh differently")
        path.write_bytes(data)
    return tally


def _weights(root: Path) -> pl.DataFrame:
    settings = settings_of(root)
    (folder,) = (root / "catalog").glob("takes-*")
    return read_sampling(settings, open_catalog(settings, folder.name)).sessions


def _remembered(root: Path) -> list[Path]:
    return sorted(path for pattern in REMEMBERED for path in root.glob(pattern))


def _flip(path: Path, rng: random.Random) -> str:
    data = bytearray(path.read_bytes())
    size = len(data)
    place = rng.choice([rng.randrange(size), rng.randrange(min(EDGE, size)), size - 1 - rng.randrange(min(EDGE, size))])
    bit = rng.randrange(8)
    data[place] ^= 1 << bit
    _rot(path, bytes(data))
    return f"{path.name} bit {bit} of byte {place} of {size}"


def _cut(path: Path, rng: random.Random) -> str:
    data = path.read_bytes()
    kept = rng.choice([0, len(data) - 1, rng.randrange(len(data))])
    _rot(path, data[:kept])
    return f"{path.name} cut to {kept} of {len(data)} bytes"


def _rot(path: Path, data: bytes) -> None:
    """Change a file as a failing drive does: nothing else about it shows."""
    status = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
