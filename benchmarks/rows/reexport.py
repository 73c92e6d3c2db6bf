"""The export again after the manifest changed in 1 % of its sessions: only their units are made again.

A new version of the manifest is written in which every event of those sessions is struck a millisecond later.
"""

from pathlib import Path

import orjson

from benchmarks.bench import Bench, beside, seconds
from benchmarks.figures import Figure, Target
from benchmarks.measure import Took

SHARE, ALLOWED_SHARE, ALLOWED_S = 0.01, 0.03, 2.0


def measure(bench: Bench) -> list[Figure]:
    """Time against what is allowed: 3 % of the full export, and 2 s."""
    full: list[Took] = []
    again: list[Took] = []
    for number in bench.rounds("reexport"):
        with bench.fresh_root() as root:
            full.append(bench.verb(root, "export", bench.manifest))
            again.append(bench.verb(root, "export", _changed(bench, root, number)))
    sessions = max(1, round(SHARE * bench.scale.corpus.sessions))
    allowed = tuple(ALLOWED_SHARE * each + ALLOWED_S for each in seconds(full))
    written = again[0].said["shards_written"], again[0].said["shards_reused"]
    return [
        Figure(f"export after {sessions} of {bench.scale.corpus.sessions} sessions changed", "s", seconds(again),
               allowed, "3 % of the export + 2 s", target=Target(1.0), target_is="<= 3 % of the full export + 2 s",
               note=f"{written[0]} shards written, {written[1]} reused; the full export took {min(seconds(full)):.2f} "
               f"to {max(seconds(full)):.2f} s; the old way does all of it again", beside=beside(again)),
    ]  # fmt: skip


def _changed(bench: Bench, root: Path, number: int) -> Path:
    """A version of the manifest with other onsets in 1 % of the sessions, another choice each round."""
    per_session, sessions = bench.scale.corpus.events, bench.scale.corpus.sessions
    count = max(1, round(SHARE * sessions))
    first = (7 + 29 * number) % (sessions - count + 1)
    lines = bench.manifest.read_bytes().splitlines(keepends=True)
    for index in range(first * per_session, (first + count) * per_session):
        event = orjson.loads(lines[index])
        event["onset_time"] += 0.001
        lines[index] = orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)
    path = root / "changed.jsonl"
    path.write_bytes(b"".join(lines))
    return path
