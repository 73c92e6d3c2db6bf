"""What the page shows of each source set: its part in every class, its splits, gaps, levels, and how it sounds."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from beatsight_core.health.figures.session_figures import judged_sessions, out_of_time
from beatsight_core.health.figures.session_shifts import DRIFTS
from beatsight_core.pages.formats import shown

TONES = ("tone-1", "tone-2", "tone-3", "tone-4", "tone-5", "tone-6")
_REST = ""
"""Key of the others: no source set has an empty name."""

LISTED = 20
"""Rows of the table of splits, those furthest from the share that should validate; and of sessions out of time."""


def source_view(figures: Mapping[str, Any], limits: Mapping[str, Any]) -> dict[str, Any]:
    """What the template needs of source sets.

    Args:
        figures: `statistics` of a report.
        limits: Of its gates.
    """
    hits, sound, export = figures["hits"], figures["sound"], figures["export"]
    parts = _parts(hits)
    return {
        "source_parts": parts,
        "class_source_bars": [_class_bar(label, counts, parts) for label, counts in hits["classes"].items()],
        "balance": _balance(hits),
        "balance_rows": _furthest(hits["balance"]),
        "gap_sources": _shares(hits["gaps_by_source"], _gap_edges),
        "peak_sources": _shares(_levels(export, "peak"), _level_edges),
        "rms_sources": _shares(_levels(export, "rms"), _level_edges),
        "sound_rows": _sound_rows(sound, export),
        "near_rows": _near_rows(sound),
        "out_rows": [_out_row(row) for row in out_of_time(figures, limits["max_misalignment_ms"])[:LISTED]],
    }


def _parts(hits: Mapping[str, Any]) -> list[dict[str, str]]:
    """The largest source sets, one tone each, and the others together."""
    names = list(hits["hits_by_source"])
    named = names if len(names) <= len(TONES) else names[: len(TONES) - 1]
    parts = [{"key": name, "title": name, "tone": tone} for name, tone in zip(named, TONES, strict=False)]
    others = {"key": _REST, "title": f"{len(names) - len(named)} others", "tone": "tone-none"}
    return parts if len(named) == len(names) else [*parts, others]


def _class_bar(label: str, counts: Mapping[str, Any], parts: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    by_source = counts["by_source"]
    amounts = {part["key"]: by_source.get(part["key"], 0) for part in parts if part["tone"] != "tone-none"}
    rest = sum(by_source.values()) - sum(amounts.values())
    return {"label": label, "amounts": {**amounts, **({_REST: rest} if rest else {})}, "total": counts["hits"]}


def _balance(hits: Mapping[str, Any]) -> dict[str, Any]:
    """Source set x class: per cent of hits that validate; None where there is no hit."""
    share = {(row["source"], row["label"]): 100 * row["val_share"] for row in hits["balance"]}
    sources = list(hits["hits_by_source"])
    classes = [label for label, counts in hits["classes"].items() if counts["hits"]]
    values = [[_short(share.get((source, label))) for label in classes] for source in sources]
    return {"sources": sources, "classes": classes, "values": values}


def _furthest(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows by how many hits would have to change sides, most first."""
    ordered = sorted(rows, key=lambda row: -abs(row["deviation"]) * row["hits"])
    return [{**row, "points": 100 * row["deviation"]} for row in ordered[:LISTED]]


def _shares(
    histograms: Mapping[str, Mapping[str, Any]], edges_of: Callable[[Sequence[float]], list[str]]
) -> dict[str, Any]:
    """Source set x bin, in per cent of what was measured of the source set; bins that nobody needs are left out."""
    sources = [name for name, one in histograms.items() if sum(one["counts"])]
    if not sources:
        return {"sources": [], "bins": [], "values": []}
    bins = edges_of(histograms[sources[0]]["edges"])
    used = [place for place in range(len(bins)) if any(histograms[name]["counts"][place] for name in sources)]
    kept = range(used[0], used[-1] + 1)
    values = [
        [_short(100 * histograms[name]["counts"][place] / sum(histograms[name]["counts"])) for place in kept]
        for name in sources
    ]
    return {"sources": sources, "bins": [bins[place] for place in kept], "values": values}


def _gap_edges(edges: Sequence[float]) -> list[str]:
    return [f"from {shown(edge, 'duration')}" for edge in edges[:-1]]


def _level_edges(edges: Sequence[float]) -> list[str]:
    return [f"from {shown(edge, 'number')}" for edge in edges[:-1]]


def _levels(export: Mapping[str, Any] | None, kind: str) -> dict[str, Any]:
    return {name: levels[kind] for name, levels in export["levels"]["by_source"].items()} if export else {}


def _sound_rows(sound: Mapping[str, Any] | None, export: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    if sound is None or export is None:
        return []
    rows = []
    for name, source in sound["by_source"].items():
        aligned, near = source["alignment"], sound["near_duplicates"]["by_source"].get(name, {"near": 0, "compared": 0})
        levels = export["levels"]["by_source"].get(name, {"silent": 0, "labelled": 0})
        rows.append(
            {
                "source": name,
                "measured": source["measured"],
                "quartiles": _span(aligned["low_ms"], aligned["high_ms"]),
                **{key: aligned[key] for key in ("strokes", "median_ms", "counts", "edges")},
                "clipped_share": _share(source["clipped"], source["measured"]),
                "offset_share": _share(source["offset"], source["measured"]),
                "silent_share": _share(levels["silent"], levels["labelled"]),
                "near_share": _share(near["near"], near["compared"]),
                "judged": judged_sessions(source["sessions"]),
                "unjudged": source["sessions"]["few"] + source["sessions"]["unsure"],
            }
        )
    return rows


def _out_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A recording that is out of time; a drift as its first and last distance."""
    drifts = row["found"] == DRIFTS
    ends = [row["shift_ms"] + side * row["drift_ms"] / 2 for side in (-1, 1)] if drifts else [row["shift_ms"]]
    return {**row, "told": " to ".join(shown(end, "tenths") for end in ends)}


def _span(low: float | None, high: float | None) -> str | None:
    return None if low is None or high is None else f"{shown(low, 'tenths')} to {shown(high, 'tenths')}"


def _near_rows(sound: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    if sound is None:
        return []
    return [
        {"val": _place(pair["val"]), "training": _place(pair["training"]), "distance_db": pair["distance_db"]}
        for pair in sound["near_duplicates"]["examples"]
    ]


def _place(clip: Mapping[str, Any]) -> str:
    return f"{clip['session_id']} · {clip['audio_path']} · {clip['onset_time']:.3f} s"


def _short(per_cent: float | None) -> float | None:
    """Short enough for a cell: 25.7, 1.6, 0.04."""
    if per_cent is None:
        return None
    return round(per_cent, 1) if per_cent >= 1 else float(f"{per_cent:.1g}")


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
