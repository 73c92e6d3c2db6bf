"""How far each source set's classes have moved since the baseline: which share of its strokes each class has.

Jensen-Shannon divergence (Lin 1991) in bits: 0 for equal distributions, 1 for distributions without a class in common;
it hears many small moves. L-infinity, the largest change of one class's share: it hears one large move.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from beatsight_core.gates.corpus_limits import Profile
from beatsight_core.gates.gate import Gate, at_most
from beatsight_core.health.figures.hit_figures import HitCounts
from beatsight_core.pages.formats import shown
from beatsight_core.typed_json import JsonObject

WHOLE = None
"""Stands for the whole corpus where a row names its source set; no source set is called so."""

_NAMED = 3


@dataclass(frozen=True, slots=True)
class SourceDrift:
    """How far the classes of a source set have moved since the baseline.

    Attributes:
        source: Name of the source set; `WHOLE` for the corpus.
        before: Hits of the baseline.
        after: Hits now.
        js: Jensen-Shannon divergence in bits; None for a source set that came or went.
        linf: Largest change of one class's share; None likewise.
        moved_most: Class whose share changed most; None if none did.
        change: Change of that share, signed.
    """

    source: str | None
    before: int
    after: int
    js: float | None = None
    linf: float | None = None
    moved_most: str | None = None
    change: float | None = None

    def to_json(self) -> JsonObject:
        """Return it as a report holds it, where the class that moved most is called `class`."""
        return {
            "source": self.source, "before": self.before, "after": self.after, "js": self.js, "linf": self.linf,
            "class": self.moved_most, "change": self.change,
        }  # fmt: skip


def jensen_shannon(before: Mapping[str, float], after: Mapping[str, float]) -> float:
    """Return the Jensen-Shannon divergence of two tables of counts, in bits, 0..1.

    Args:
        before: Table of name -> count, with a sum above 0.
        after: Table of the same kind; names that only one table has count as 0 in the other.
    """
    ours, theirs = _shares(before), _shares(after)
    total = 0.0
    for name in sorted({*ours, *theirs}):
        p, q = ours.get(name, 0.0), theirs.get(name, 0.0)
        middle = (p + q) / 2
        total += sum(share / 2 * math.log2(share / middle) for share in (p, q) if share)
    return min(max(total, 0.0), 1.0)


def largest_change(before: Mapping[str, float], after: Mapping[str, float]) -> tuple[float, str]:
    """Return the L-infinity distance of two tables of counts as shares, 0..1, and the name it lies at."""
    ours, theirs = _shares(before), _shares(after)
    moved = {name: abs(theirs.get(name, 0.0) - ours.get(name, 0.0)) for name in sorted({*ours, *theirs})}
    name = max(moved, key=moved.__getitem__, default="")
    return moved.get(name, 0.0), name


def drift(now: HitCounts, then: HitCounts) -> tuple[SourceDrift, ...]:
    """Compare every source set's classes with the baseline's, then those of the whole corpus.

    Args:
        now: Hits of the candidate.
        then: Hits of the baseline.
    """
    sources = sorted({*then.hits_by_source, *now.hits_by_source})
    return tuple(_source_drift(then, now, source) for source in (*sources, WHOLE))


def drift_gates(rows: Sequence[SourceDrift], limits: Profile) -> list[Gate]:
    """Hold both measures against their limits, at the source set where they are largest; and list those that are gone.

    The whole corpus is shown and not judged: a source set that comes new moves it, as it should.

    Args:
        rows: Drift of every source set and of the corpus.
        limits: Limits of the candidate's gates.
    """
    rows = [row for row in rows if row.source is not WHOLE]
    gone = [row.source for row in rows if row.source and row.before and not row.after]
    do = "look at its sessions that came or went, or approve a new baseline (beatsight health approve MANIFEST)"
    return [
        Gate(
            "drift of a source since the baseline (Jensen-Shannon)", _worst(rows, _js), at_most(limits.max_drift_js),
            group="baseline", format="bits", setting="gates.max_drift_js",
            found=_found(rows, _js, limits.max_drift_js, "number"), do=do,
        ),
        Gate(
            "drift of a source since the baseline (L-infinity)", _worst(rows, _linf), at_most(limits.max_drift_linf),
            group="baseline", format="share", setting="gates.max_drift_linf",
            found=_found(rows, _linf, limits.max_drift_linf, "share"), do=do,
        ),
        Gate(
            "source sets gone since the baseline", len(gone), at_most(0), group="baseline",
            found=f"No hit is left of {', '.join(gone)}" if gone else "Every source set of the baseline is there",
            do="put them back into the manifest, or approve a new baseline (beatsight health approve MANIFEST)",
        ),
    ]  # fmt: skip


def _source_drift(then: HitCounts, now: HitCounts, source: str | None) -> SourceDrift:
    before, after = _classes(then, source), _classes(now, source)
    hits = _hits(then, source), _hits(now, source)
    if not sum(before.values()) or not sum(after.values()):
        return SourceDrift(source, *hits)
    linf, name = largest_change(before, after)
    change = _shares(after).get(name, 0.0) - _shares(before).get(name, 0.0)
    return SourceDrift(source, *hits, jensen_shannon(before, after), linf, name if linf else None, change)


def _classes(hits: HitCounts, source: str | None) -> dict[str, float]:
    """Return class -> hits that hold it: of one source set, or of all."""
    if source is WHOLE:
        return {label: counts.hits for label, counts in hits.classes.items()}
    return {label: counts.by_source.get(source, 0) for label, counts in hits.classes.items()}


def _hits(hits: HitCounts, source: str | None) -> int:
    return hits.hits if source is WHOLE else hits.hits_by_source.get(source, 0)


def _shares(counts: Mapping[str, float]) -> dict[str, float]:
    whole = sum(counts.values())
    return {name: count / whole for name, count in counts.items()} if whole else {}


def _js(row: SourceDrift) -> float | None:
    return row.js


def _linf(row: SourceDrift) -> float | None:
    return row.linf


Measure = Callable[[SourceDrift], float | None]


def _worst(rows: Sequence[SourceDrift], measure: Measure) -> float:
    return max((value for row in rows if (value := measure(row)) is not None), default=0.0)


def _found(rows: Sequence[SourceDrift], measure: Measure, limit: float, kind: str) -> str:
    """Return the rows beyond the limit, or the one that comes nearest to it, in words."""
    measured = sorted((row for row in rows if measure(row) is not None), key=lambda row: -(measure(row) or 0.0))
    beyond = [row for row in measured if (measure(row) or 0.0) > limit]
    texts = [
        f"{row.source} moved by {shown(measure(row), kind)}, most of all {row.moved_most} "
        f"({shown(round(100 * (row.change or 0.0), 1), 'signed')} points)"
        for row in (beyond or measured)[:_NAMED]
        if row.moved_most is not None
    ]
    more = [f"{len(beyond) - _NAMED} more"] if len(beyond) > _NAMED else []
    return "; ".join(texts + more) or "No source set moved"
