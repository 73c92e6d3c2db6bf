"""Comparisons as parts of a page: what got better and worse, in tables whose every row says whether it is chance."""

from collections.abc import Sequence
from dataclasses import dataclass

from beatsight_core.evaluation.compare_models import Change, ConfusionChange, ModelChange, RivalComparison

FIGURES = (
    ("accuracy", "accuracy", 1),
    ("exact_match", "exact match", 1),
    ("top1_in_set", "surest was struck", 1),
    ("macro_f1", "macro-F1", 1),
    ("macro_ap", "macro-AP", 1),
    ("loss", "loss", -1),
)
"""Name, title, and 1 where more is better, -1 where less is."""

PAIRS_SHOWN = 40
"""Changed confusions that are listed on the page; the JSON has all."""


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """A row of a table of changes.

    Attributes:
        what: Name of what changed.
        before: Value before.
        after: Value after.
        difference: Difference of the two.
        low: Lower end of its interval.
        high: Upper end of its interval.
        state: State of the badge.
        says: Verdict in words.
    """

    what: str
    before: float | None
    after: float | None
    difference: float | None
    low: float | None
    high: float | None
    state: str
    says: str


@dataclass(frozen=True, slots=True)
class PairRow:
    """A watched pair, confusions per reference hit.

    Attributes:
        what: Name of the pair.
        before: Rate before.
        after: Rate after.
    """

    what: str
    before: float | None
    after: float | None


@dataclass(frozen=True, slots=True)
class ShownComparison:
    """A rival as the template shows it: its title, notices, and tables.

    Attributes:
        name: Name of the rival.
        roles: Roles of the rival in words.
        notices: Notices, each with state and text.
        compared: Presence of a comparison; without one the rest is empty.
        hits: Number of hits.
        sessions: Number of sessions.
        verdict: Components that changed beyond chance, in words.
        figures: Changes of the figures.
        classes: Changes of each component's F1, the largest first.
        pairs: Changes of the watched pairs.
        confusions: Changes of pairs of components, the largest first.
        confusions_title: Title of these.
    """

    name: str
    roles: str
    notices: tuple[dict[str, str], ...]
    compared: bool = False
    hits: int = 0
    sessions: int = 0
    verdict: str = ""
    figures: tuple[ChangeRow, ...] = ()
    classes: tuple[ChangeRow, ...] = ()
    pairs: tuple[PairRow, ...] = ()
    confusions: tuple[ChangeRow, ...] = ()
    confusions_title: str = ""


def comparisons(against: Sequence[RivalComparison]) -> list[ShownComparison]:
    """Return what the template shows of each rival."""
    return [_comparison(rival, rival.change) for rival in against]


def _comparison(rival: RivalComparison, change: ModelChange | None) -> ShownComparison:
    roles = " and ".join(filter(None, (", ".join(rival.roles[:-1]), rival.roles[-1])))
    if change is None:
        return ShownComparison(rival.name, roles, _notices(rival))
    classes = [_judged(label, row, 1) for label, row in change.f1.items() if row.difference is not None]
    return ShownComparison(
        name=rival.name,
        roles=roles,
        notices=_notices(rival),
        compared=True,
        hits=change.hits,
        sessions=change.sessions,
        verdict=_verdict(change),
        figures=tuple(_judged(title, getattr(change, name), sign) for name, title, sign in FIGURES),
        classes=tuple(sorted(classes, key=lambda row: -abs(row.difference or 0.0))),
        pairs=tuple(PairRow(name, row.before.rate, row.after.rate) for name, row in change.pairs.items()),
        confusions=tuple(_judged(f"{row.struck} → {row.said}", row, -1) for row in change.confusions[:PAIRS_SHOWN]),
        confusions_title=_counted(change.confusions),
    )


def _notices(rival: RivalComparison) -> tuple[dict[str, str], ...]:
    if rival.why_not:
        return ({"state": "warn", "text": f"Not compared: {rival.why_not}."},)
    if rival.same_data:
        return ()
    text = "It learned from another dataset, perhaps from some of the hits it is asked about here."
    return ({"state": "warn", "text": text},)


def _verdict(change: ModelChange) -> str:
    moved = {"better": change.better, "worse": change.worse}
    parts = [f"{word}: {', '.join(labels)}" if labels else f"none {word}" for word, labels in moved.items()]
    return f"Components whose F1 changed beyond chance: {'; '.join(parts)}."


def _judged(what: str, row: Change | ConfusionChange, sign: int) -> ChangeRow:
    """Return a row with its verdict: better or worse only where the interval of the difference leaves zero out.

    Args:
        what: Name of what changed.
        row: Change; of a confusion, `difference` counts confusions.
        sign: 1 where more is better, -1 where less is.
    """
    low, high = row.low, row.high
    state, says = "info", "within chance"
    if row.difference == 0 and not low and not high:
        says = "the same"
    elif low is None or high is None:
        says = "one session: unknown"
    elif sign * low > 0 and sign * high > 0:
        state, says = "pass", "better"
    elif sign * low < 0 and sign * high < 0:
        state, says = "fail", "worse"
    return ChangeRow(what, row.before, row.after, row.difference, low, high, state, says)


def _counted(changed: Sequence[ConfusionChange]) -> str:
    grew = sum(row.difference > 0 for row in changed)
    shown = f"; the {PAIRS_SHOWN} largest changes are listed" if len(changed) > PAIRS_SHOWN else ""
    return f"Confusions: {grew} grew, {len(changed) - grew} shrank{shown}"
