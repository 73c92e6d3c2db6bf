"""When a manifest of the inbox is asked for: once, and once more each time that what held it back may be gone.

A request is made for a state: when the file came or changed, how often a root of its audio came back, how often a
person said `beatsight manifest retry`, the settings that bear on it, and whether all files that its inventory missed
are there now. The state is written as text into a tag of the run and of all runs that follow it. A manifest whose run
failed is asked for again when its state is one that no run of it ever had: so a failure that stays starts one run,
whatever restarts, and a cursor that was lost is read back from the runs. A root that goes away is no new state.
"""

import dataclasses
import time
from collections.abc import Iterable
from typing import Any

import dagster as dg

from beatsight_core.errors import BeatSightError
from beatsight_core.safe_text import for_shell
from beatsight_core.settings import Settings
from beatsight_core.slow_work import NotYetError, SlowWork
from beatsight_dagster.failures import why_run_failed
from beatsight_dagster.partitions import to_partition
from beatsight_dagster.run_tags import CHAIN_TAG, STATE_TAG, UNTIL_TAG
from beatsight_dagster.sensors.preparation_state import PreparationState, preparation_state

BUDGET_S = 15.0
"""Manifests that were not judged after so long are judged at the next look; who waited longest comes first."""

_LOOK_AT_ROOT_S, _LOOK_AT_ROOTS_S = 2.0, 6.0
_ROOTS = SlowWork[bool]()

_OF_ONE = (BeatSightError, OSError, LookupError, TypeError, ValueError, AttributeError)

Entry = dict[str, Any]


class Preparation:
    """Decides for each manifest whether it is asked for now, and says what it waits for."""

    def __init__(self, instance: dg.DagsterInstance, settings: Settings):
        from beatsight_core.manifest.inbox.wishes import Wish, read_wishes

        self._instance, self._settings = instance, settings
        self._bearing = settings_digest(settings)
        self._wishes, self._nothing = read_wishes(settings), Wish
        self._asked: set[str] = set()
        self._there: dict[str, bool | None] = {}
        self._roots_until = time.monotonic() + _LOOK_AT_ROOTS_S

    def requests(self, entries: Iterable[Entry]) -> list[dg.RunRequest]:
        """Return the requests for all manifests that are to be asked for now, as far as time allows.

        Args:
            entries: Entries of the cursor.
        """
        until = time.monotonic() + BUDGET_S
        found: list[dg.RunRequest] = []
        for entry in sorted(entries, key=lambda entry: float(entry.get("judged", 0.0))):
            before = entry.get("judged")
            try:
                request = self.request(entry)
                found += [request] if request else []
            except _OF_ONE as error:  # what was found of one manifest is no reason to leave out the others
                entry["says"] = f"{entry['key']} cannot be judged: {error!r}"
            if entry.get("judged") != before and time.monotonic() > until:
                break
        return found

    def request(self, entry: Entry) -> dg.RunRequest | None:
        """Return the request for a manifest, if it is to be asked for; note in its entry what is known and said of it.

        Args:
            entry: Entry of the cursor for its file.
        """
        key = entry["key"]
        if entry["pending"] or key is None or key in self._asked:
            return None
        entry["says"] = None
        wish = self._wishes.get(key) or self._nothing(key)
        if _left_alone(entry, wish):
            for name in ("asked", "failed", "mounted", "done"):
                entry.pop(name, None)
            entry["says"] = f"{key} was forgotten; it is taken up when its file changes, or by {_retry(key)}"
            return None
        retried = wish.retries > entry.setdefault("retries", wish.retries)
        if (entry.get("done") or 0.0) > (wish.forgotten_at or 0.0) and not retried:
            return None
        entry["judged"] = time.time()
        so_far = preparation_state(self._instance, to_partition(key), wish.forgotten_at or 0.0)
        return self._decide(entry, so_far, wish.retries, retried)

    def is_forgotten(self, key: str) -> bool:
        """Return whether a manifest is to stay out of the partitions."""
        wish = self._wishes.get(key)
        return wish is not None and wish.forgotten_at is not None and key not in self._asked

    def _decide(self, entry: Entry, so_far: PreparationState, retries: int, retried: bool) -> dg.RunRequest | None:
        key = entry["key"]
        _adopt(entry, so_far)
        if so_far.status == "done" and not retried:
            for name in ("mounted", "failed", "asked", "judged"):
                entry.pop(name, None)
            entry["done"] = time.time()
            return None
        if so_far.status == "running":
            entry["says"] = f"{key} is being prepared"
            return None
        away = self._look_for_roots(entry, so_far)
        state = self._state(entry, retries)
        if _was_asked(state, entry, so_far):
            entry["says"] = self._waits(entry, so_far, away)
            return None
        partition, first = to_partition(key), so_far.run is None and "asked" not in entry
        entry |= {"asked": state, "retries": retries, "done": None}
        self._asked.add(key)
        return dg.RunRequest(
            # Dagster drops a key that it has had before.
            run_key=f"manifest:{partition}" if first else f"manifest:{partition}:{state}",
            partition_key=partition,
            tags={CHAIN_TAG: partition, STATE_TAG: state, UNTIL_TAG: self._settings.automation.until},
        )

    def _state(self, entry: Entry, retries: int) -> str:
        from beatsight_core.audio.absence import absent_and_back

        parts = [f"{entry['arrived']:x}", str(entry["came"]), str(retries), self._bearing]
        usable = {root for root, there in self._there.items() if there}
        back = absent_and_back(self._settings, entry["key"], usable)
        return ".".join([*parts, back[:8]] if back else parts)

    def _look_for_roots(self, entry: Entry, so_far: PreparationState) -> list[str]:
        """Count a return of a root that was away at the look before, or for the last inventory; the roots away now."""
        from beatsight_core.audio.absence import found_unmounted, known_sources, roots_of

        key, settings = entry["key"], self._settings
        roots = {root for mine in roots_of(settings, known_sources(settings, key)).values() for root in mine}
        seen, before = {root: self._is_there(root) for root in sorted(roots)}, entry.get("mounted")
        if before is None:
            away_then = found_unmounted(settings, key) if so_far.status == "failed" else set()
            before = {root: root not in away_then for root in seen}
        # Of a drive that does not answer nothing is known: it is what it was.
        now = {root: bool(before.get(root, True) if there is None else there) for root, there in seen.items()}
        if any(there and before.get(root) is False for root, there in now.items()):
            entry["came"] += 1
        entry["mounted"] = now
        return [root for root, there in now.items() if not there]

    def _is_there(self, root: str) -> bool | None:
        """Whether a root is there; None if its drive does not answer in time."""
        from beatsight_core.audio.absence import is_there

        if root not in self._there:
            wait_s = min(_LOOK_AT_ROOT_S, self._roots_until - time.monotonic())
            try:
                self._there[root] = _ROOTS.answer(root, lambda: is_there(root), wait_s)
            except NotYetError:
                self._there[root] = None
        return self._there[root]

    def _waits(self, entry: Entry, so_far: PreparationState, away: Iterable[str]) -> str:
        """Why a manifest is not prepared, and what would have it asked for again."""
        name = entry["key"]
        if so_far.run is None or so_far.status == "none":
            return f"{name} was asked for, and no run of it is there yet; {_retry(name)} asks again"
        if entry.get("failed", [None])[0] != so_far.run:
            entry["failed"] = [so_far.run, why_run_failed(self._instance, so_far.run)]
        roots = f"one of {', '.join(away)} is there" if away else "missing audio is there"
        return (
            f"{name} is not prepared; it is asked for again when {roots}, when the settings or the file change, or by "
            f"{_retry(name)}. {entry['failed'][1]}"
        )


def settings_digest(settings: Settings) -> str:
    """Return a short digest of the settings that decide whether a manifest can be prepared."""
    from beatsight_core.files import digest_json

    gates = dataclasses.replace(settings.gates, promotion={}, probe={}, loosened={})
    bearing = {
        "taxonomy": settings.taxonomy,
        "secondary_root": settings.secondary_root,
        "sources": dict(settings.sources),
        "dataset": dataclasses.replace(settings.dataset, workers=0),
        "features": settings.features,
        "gates": gates,
    }
    return digest_json(bearing)[:8]


def _retry(key: str) -> str:
    return f"`beatsight manifest retry {for_shell(key)}`"


def _left_alone(entry: Entry, wish: Any) -> bool:
    """Whether a manifest is forgotten, and its file is still the one that was left in the inbox then."""
    if wish.forgotten_at is None or wish.left is None:
        return False
    same = (entry["size"], entry["mtime_ns"]) == (wish.left.size, wish.left.mtime_ns)
    return same and (entry["arrived"] or 0) <= wish.forgotten_at * 1e9


def _was_asked(state: str, entry: Entry, so_far: PreparationState) -> bool:
    """Whether a state was asked for. Where no run came of that yet, a file that was touched makes no difference.

    A run that was asked for as missing files were back makes an inventory that misses none; that is no other state.
    """
    asked = entry.get("asked")
    if asked and so_far.run is None:
        state, asked = (each.partition(".")[2] for each in (state, asked))
        return f"{asked}.".startswith(f"{state}.")
    return any(f"{each}.".startswith(f"{state}.") for each in {*so_far.states, asked} if each)


def _adopt(entry: Entry, so_far: PreparationState) -> None:
    """Fill in what the cursor does not know, from the newest run if there is one."""
    arrived, came = _parts(so_far.newest)
    if entry["arrived"] is None:
        entry["arrived"] = arrived if arrived is not None else time.time_ns()
        entry["came"] = came
    entry.setdefault("came", 0)


def _parts(state: str | None) -> tuple[int | None, int]:
    try:
        arrived, came = (state or "").split(".")[:2]
        return int(arrived, 16), int(came)
    except ValueError:
        return None, 0
