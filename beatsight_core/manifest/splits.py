"""The split of hits into train, val and calibration: decided by ids alone, so that the order of lines does not matter.

Sessions are joined into groups that must stay together: sessions of one audio file always, and those that share a
drummer, kit or room where their source set asks for it. A group's key, hashed, says where the group goes.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from beatsight_core.manifest.catalog_counts import RecordedSession
from beatsight_core.settings import DatasetSettings

SPLITS = ("train", "val", "calibration")

_Node = tuple[str, ...]


@dataclass(frozen=True)
class Splits:
    """The split of every session.

    Attributes:
        of: Session id -> split and key of its group.
        notes: Source sets that could not be split as they ask for, and why.
    """

    of: Mapping[str, tuple[str, str]]
    notes: list[str] = field(default_factory=list)


def assign_splits(
    performances: Iterable[RecordedSession], dataset: DatasetSettings, split_by: Mapping[str, tuple[str, ...]]
) -> Splits:
    """Assign every session to a split.

    A source set whose groups do not give both train and val falls back to its sessions, and a note says so.

    Args:
        performances: Combinations of session, file, drummer, kit and room, in any order.
        dataset: Settings with the ratios of the splits.
        split_by: Source set -> fields of which sessions must not share a value across splits.
    """
    known = list(set(performances))
    asked = {source: fields for source, fields in split_by.items() if fields}
    notes: list[str] = []
    while True:
        of = _assign(known, dataset, asked)
        failing = _one_sided(known, of, asked)
        if not failing:
            return Splits(of, notes)
        for source, (groups, side) in failing.items():
            fields = " and ".join(asked.pop(source))
            notes.append(
                f"{source}: its {groups} group{'s' if groups > 1 else ''} by {fields} would all be {side}; split by "
                "session instead"
            )


def split_of_group(key: str, dataset: DatasetSettings) -> str:
    """Return the split of a group.

    The first 8 bytes of the SHA-1 of its key are a fraction; below `val_ratio` it is val.
    """
    if _fraction(key) < dataset.val_ratio:
        return "val"
    return "calibration" if _fraction(f"calibration:{key}") < dataset.calibration_ratio else "train"


def _fraction(key: str) -> float:
    digest = hashlib.sha1(key.encode("utf-8"), usedforsecurity=False).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _assign(
    performances: list[RecordedSession], dataset: DatasetSettings, split_by: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, str]]:
    sets = _DisjointSets()
    for performance in performances:
        session = ("session", performance.session_id)
        sets.join(session, ("file", performance.source_set, performance.audio_path))
        for name in split_by.get(performance.source_set, ()):
            value = getattr(performance, name)
            if value is not None:
                sets.join(session, ("field", f"{name}={value}"))
    of: dict[str, tuple[str, str]] = {}
    for members in sets.groups():
        fields = [node[1] for node in members if node[0] == "field"]
        sessions = [node[1] for node in members if node[0] == "session"]
        key = min(fields) if fields else min(sessions)
        of |= dict.fromkeys(sessions, (split_of_group(key, dataset), key))
    return of


def _one_sided(
    performances: list[RecordedSession], of: Mapping[str, tuple[str, str]], split_by: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[int, str]]:
    """Source sets split by fields that lack train or val: how many groups they have, and on which side."""
    groups: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for performance in performances:
        if performance.source_set in split_by:
            groups[performance.source_set].add(of[performance.session_id])
    failing = {}
    for source, found in sorted(groups.items()):
        sides = sorted({split for split, _ in found})
        if not {"train", "val"} <= set(sides):
            failing[source] = (len(found), " or ".join(sides))
    return failing


class _DisjointSets:
    """Union-find over sessions, files and field values."""

    def __init__(self) -> None:
        self._parent: dict[_Node, _Node] = {}

    def join(self, a: _Node, b: _Node) -> None:
        root_a, root_b = self._root(a), self._root(b)
        if root_a != root_b:
            self._parent[root_b] = root_a

    def groups(self) -> list[list[_Node]]:
        found: dict[_Node, list[_Node]] = defaultdict(list)
        for node in self._parent:
            found[self._root(node)].append(node)
        return list(found.values())

    def _root(self, node: _Node) -> _Node:
        parent = self._parent.setdefault(node, node)
        while parent != node:
            grand = self._parent[parent]
            self._parent[node] = grand  # halve the path for those who come after
            node, parent = parent, grand
        return node
