"""How far each source set's classes have moved since the baseline: which share of its strokes each class has.

Jensen-Shannon divergence (Lin 1991) in bits: 0 for equal distributions, 1 for distributions without a class in common;
it hears many small moves. L-infinity, the largest change of one class's share: it hears one large move.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from beatsight_core.gates.corpus_limits import Profile
from beatsight_core.gates.gate import Gate, at_most
from beatsight_core.pages.formats import shown

WHOLE = None
"""Stands for the whole corpus where a row names its source set; no source set is called so."""

_NAMED = 3


def jensen_shannon(before: Mapping[str, float], after: Mapping[str, float]) -> float:
    """The Jensen-Shannon divergence of two tables of counts, in bits, 0..1.

    Args:
        before: Name -> count, with a sum above 0.
        after: The same; names that only one table has count as 0 in the other.
    """
    ours, theirs = _shares(before), _shares(after)
    total = 0.0
    for name in sorted({*ours, *theirs}):
        p, q = ours.get(name, 0.0), theirs.get(name, 0.0)
        middle = (p + q) / 2
        total += sum(share / 2 * math.log2(share / middle) for share in (p, q) if share)
    return min(max(total, 0.0), 1.0)


def largest_change(before: Mapping[str, float], after: Mapping[str, float]) -> tuple[float, str]:
    """The L-infinity distance of two tables of counts as shares, 0..1, and the name it lies at."""
    ours, theirs = _shares(before), _shares(after)
    moved = {name: abs(theirs.get(name, 0.0) - ours.get(name, 0.0)) for name in sorted({*ours, *theirs})}
    name = max(moved, key=moved.__getitem__, default="")
    return moved.get(name, 0.0), name


def drift(statistics: Mapping[str, Any], baseline: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every source set's classes now against the baseline's, then the whole corpus.

    Args:
        statistics: Of the candidate.
        baseline: A whole report.

    Returns:
        `source` (`WHOLE` for the corpus), `before` and `after` (hits), `js`, `linf`, `class` (whose share changed most,
        None if none did) and `change` (of that share, signed). Figures are None for a source set that came or went.
    """
    then, now = baseline["statistics"]["hits"], statistics["hits"]
    sources = sorted({*then["hits_by_source"], *now["hits_by_source"]})
    return [_row(then, now, source) for source in (*sources, WHOLE)]


def drift_gates(rows: Sequence[Mapping[str, Any]], limits: Profile) -> list[Gate]:
    """Both measures against their limits, at the source set where they are largest; and source sets that are gone.

    The whole corpus is shown and not judged: a source set that comes new moves it, as it should.

    Args:
        rows: As `drift` gives them.
        limits: Of the candidate's gates.
    """
    rows = [row for row in rows if row["source"] is not WHOLE]
    gone = [row["source"] for row in rows if row["before"] and not row["after"]]
    do = "look at its sessions that came or went, or bless a new baseline"
    return [
        at_most(
            "drift of a source since the baseline (Jensen-Shannon)", "baseline", _worst(rows, "js"),
            limits.max_drift_js, format="number", setting="gates.max_drift_js",
            found=_found(rows, "js", limits.max_drift_js, "number"), do=do,
        ),
        at_most(
            "drift of a source since the baseline (L-infinity)", "baseline", _worst(rows, "linf"),
            limits.max_drift_linf, format="share", setting="gates.max_drift_linf",
            found=_found(rows, "linf", limits.max_drift_linf, "share"), do=do,
        ),
        at_most(
            "source sets gone since the baseline", "baseline", len(gone), 0,
            found=f"No hit is left of {', '.join(gone)}" if gone else "Every source set of the baseline is there",
            do="put them back into the manifest, or bless a new baseline",
        ),
    ]  # fmt: skip


def _row(then: Mapping[str, Any], now: Mapping[str, Any], source: str | None) -> dict[str, Any]:
    before, after = _classes(then, source), _classes(now, source)
    row = {"source": source, "before": _hits(then, source), "after": _hits(now, source)}
    if not sum(before.values()) or not sum(after.values()):
        return row | {"js": None, "linf": None, "class": None, "change": None}
    linf, name = largest_change(before, after)
    change = _shares(after).get(name, 0.0) - _shares(before).get(name, 0.0)
    return row | {"js": jensen_shannon(before, after), "linf": linf, "class": name if linf else None, "change": change}


def _classes(hits: Mapping[str, Any], source: str | None) -> dict[str, float]:
    """Class -> hits that hold it: of one source set, or of all."""
    if source is WHOLE:
        return {label: counts["hits"] for label, counts in hits["classes"].items()}
    return {label: counts["by_source"].get(source, 0) for label, counts in hits["classes"].items()}


def _hits(hits: Mapping[str, Any], source: str | None) -> int:
    return int(hits["hits"] if source is WHOLE else hits["hits_by_source"].get(source, 0))


def _shares(counts: Mapping[str, float]) -> dict[str, float]:
    whole = sum(counts.values())
    return {name: count / whole for name, count in counts.items()} if whole else {}


def _worst(rows: Sequence[Mapping[str, Any]], measure: str) -> float:
    return max((row[measure] for row in rows if row[measure] is not None), default=0.0)


def _found(rows: Sequence[Mapping[str, Any]], measure: str, limit: float, kind: str) -> str:
    """The rows beyond the limit, or the one that comes nearest to it, in words."""
    measured = sorted((row for row in rows if row[measure] is not None), key=lambda row: -row[measure])
    beyond = [row for row in measured if row[measure] > limit]
    texts = [
        f"{row['source']} moved by {shown(row[measure], kind)}, most of all {row['class']} "
        f"({shown(round(100 * row['change'], 1), 'signed')} points)"
        for row in (beyond or measured)[:_NAMED]
        if row["class"] is not None
    ]
    more = [f"{len(beyond) - _NAMED} more"] if len(beyond) > _NAMED else []
    return "; ".join(texts + more) or "No source set moved"
