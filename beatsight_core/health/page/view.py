"""A report's figures in the shapes that the page draws: rows for bars and tables, tiles, edges as text."""

from collections.abc import Mapping, Sequence
from typing import Any

from beatsight_core.health.page.view_sources import source_view
from beatsight_core.pages.formats import count, duration, shown

_GROUPS = {
    "rejects": "Refused lines",
    "counts": "Hits of each class", "techniques": "Techniques", "labels": "Labels and duplicates", "audio": "Audio",
    "sound": "How clips sound", "reconciliation": "Numbers that must agree", "leakage": "Leakage",
    "baseline": "Against the baseline",
}  # fmt: skip
_WHEREABOUTS = {
    "in_clips": "events in clips", "with_audio": "events with audio", "refused": "lines refused",
    "missing_audio": "their file is missing", "unreadable_audio": "their file cannot be read",
    "truncated_audio": "their file breaks off", "past_end": "beyond the end of their file",
    "silent_audio": "nothing sounds", "opposite_polarity": "their file's channels cancel each other",
    "not_exported": "not exported",
}  # fmt: skip
_KNOWN_BUCKETS = ("ghost", "light", "medium", "accent")


def view(report: Mapping[str, Any]) -> dict[str, Any]:
    """What the template needs beside the report itself."""
    figures = report["statistics"]
    events, hits = figures["events"], figures["hits"]
    return {
        "tiles": _tiles(report),
        "failed": [gate for gate in report["gates"] if not gate["passed"]],
        "passed_groups": _passed_groups(report["gates"]),
        "class_rows": _class_rows(events, hits),
        "class_bars": [
            {"label": label, "amounts": counts["by_split"], "total": counts["hits"]}
            for label, counts in hits["classes"].items()
        ],
        "class_sources": _class_sources(hits),
        "pair_rows": _pairs(hits),
        "dynamic_bars": _dynamic_bars(events),
        "component_bars": [
            {"label": _components(number), "value": value} for number, value in hits["components_per_hit"].items()
        ],
        "gap_edges": _gap_edges(hits["gaps"]["edges"]),
        "source_rows": _source_rows(figures),
        "source_bars": [
            {"label": source, "amounts": seconds} for source, seconds in hits["seconds_by_source"].items()
        ],
        "source_seconds": [sum(seconds.values()) for seconds in hits["seconds_by_source"].values()],
        "technique_bars": bars(events["techniques"]),
        "bleed_bars": bars(events["bleed_level"]),
        "mix_bars": bars(events["mix_context"]),
        "reject_bars": bars(figures["rejects"]["by_reason"]),
        "unknown_bars": bars(figures["unknown_labels"]),
        "split_rows": [{"split": name, **values} for name, values in hits["splits"].items()],
        "leakage_rows": [{"what": name, **values} for name, values in figures["leakage"].items()],
        "audio_rows": _audio_rows(figures["audio"]),
        "copy_rows": _copy_rows(figures["audio"]),
        "export_rows": _export_rows(figures["export"]),
        "whereabouts_bars": _whereabouts(figures["whereabouts"]),
        "list_tables": [_list_table(entry) for entry in report["lists"]],
        **source_view(figures, report["limits"]),
        "drift_rows": [_drift_row(row, report["limits"]) for row in report["drift"]],
        "reconciliation_rows": [
            {**check, "state": "fail" if check["gap"] else "pass"} for check in figures["reconciliation"]
        ],
    }  # fmt: skip


def bars(counts: Mapping[str, float]) -> list[dict[str, Any]]:
    """Bars of a table of counts, in its order."""
    return [{"label": label, "value": value} for label, value in counts.items()]


def _tiles(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    totals, audio = report["statistics"]["totals"], report["statistics"]["audio"]
    lost = audio["missing_events"] + audio["unreadable_events"] + audio["events_past_end"] if audio else None
    return [
        {"label": "Hits", "value": count(totals["hits"]), "note": f"from {count(totals['events'])} events"},
        {"label": "Clips exported", "value": shown(totals["exported_hits"], "count"),
         "note": f"{duration(totals['clip_seconds'])} if all are"},
        {"label": "Sessions", "value": count(totals["sessions"]),
         "note": f"{count(totals['files'])} files of {count(totals['sources'])} source sets"},
        {"label": "Synthetic", "value": shown(_share(totals["synthetic_hits"], totals["hits"]), "share"),
         "note": f"{count(totals['real_hits'])} real hits"},
        {"label": "Simultaneous", "value": shown(totals["simultaneous_rate"], "share"),
         "note": "hits with two or more components"},
        {"label": "Repeated events", "value": count(totals["duplicates"]),
         "note": f"{shown(totals['duplication_rate'], 'share')} of all",
         "state": "warn" if totals["duplicates"] else None},
        {"label": "Lines rejected", "value": count(totals["rejected"]), "note": f"of {count(totals['read'])} read",
         "state": "warn" if totals["rejected"] else None},
        {"label": "Events without audio", "value": shown(lost, "count"),
         "note": shown(_share(lost or 0, totals["events"]), "share") if audio else "not looked for",
         "state": "warn" if lost else None},
    ]  # fmt: skip


def _passed_groups(gates: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Passed gates by group, in the order of `_GROUPS`."""
    passed = [gate for gate in gates if gate["passed"]]
    groups = [(title, [gate for gate in passed if gate["group"] == group]) for group, title in _GROUPS.items()]
    return [{"title": title, "gates": members} for title, members in groups if members]


def _class_rows(events: Mapping[str, Any], hits: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "label": label,
            "events": events["events_by_label"].get(label, 0),
            "solo_share": _share(counts["solo"], counts["hits"]),
            **counts,
            **counts["by_split"],
        }
        for label, counts in hits["classes"].items()
    ]


def _class_sources(hits: Mapping[str, Any]) -> dict[str, Any]:
    """Source set x class, in per cent of the source's hits: corpora of any size can be compared."""
    sources = list(hits["hits_by_source"])
    values = [
        [
            _per_cent(counts["by_source"].get(source, 0), hits["hits_by_source"][source])
            for counts in hits["classes"].values()
        ]
        for source in sources
    ]
    return {"classes": list(hits["classes"]), "sources": sources, "values": values}


def _pairs(hits: Mapping[str, Any]) -> dict[str, Any]:
    """Only classes that occur."""
    labels = list(hits["classes"])
    there = [position for position, label in enumerate(labels) if hits["classes"][label]["hits"]]
    return {
        "labels": [labels[position] for position in there],
        "values": [[hits["pairs"][row][column] for column in there] for row in there],
    }


def _dynamic_bars(events: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Buckets of other names than the four count as not given."""
    rows = []
    for label, buckets in events["dynamics"].items():
        known = {bucket: buckets[bucket] for bucket in _KNOWN_BUCKETS}
        known["unknown"] = sum(buckets.values()) - sum(known.values())
        rows.append({"label": label, "amounts": known})
    return rows


def _components(number: str) -> str:
    return {"0": "none", "1": "one component"}.get(number, f"{number} components")


def _gap_edges(edges: Sequence[float]) -> list[str]:
    return [*(shown(edge, "duration") for edge in edges[:-1]), "more"]


def _source_rows(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    events, hits = figures["events"], figures["hits"]
    return [
        {
            "source": source,
            "events": events["events_by_source"].get(source, 0),
            "hits": number,
            "synthetic": _share(
                events["synthetic_by_source"].get(source, 0), events["events_by_source"].get(source, 0)
            ),
            "simultaneous": _share(hits["simultaneous_by_source"].get(source, 0), number),
            "licences": list(hits["licences"].get(source, {})),
            **hits["sources"][source],
        }
        for source, number in hits["hits_by_source"].items()
    ]


def _audio_rows(audio: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    if audio is None:
        return []
    return [
        {
            "source": name,
            "rates": [f"{int(rate) / 1000:g} kHz" for rate in source["sample_rates"]],
            "channel_counts": list(source["channels"]),
            **source,
        }
        for name, source in audio["by_source"].items()
    ]


def _copy_rows(audio: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    groups = audio["duplicates"]["groups"] if audio else []
    return [{"files": ", ".join(group["files"]), "events": group["events"]} for group in groups]


def _export_rows(export: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    if export is None:
        return []
    return [
        {"source": name, **source, "rejected_hits": sum(source["rejected"].values()),
         "reasons": [f"{reason} {count(hits)}" for reason, hits in source["rejected"].items() if hits],
         **{f"seconds_{split}": source["seconds_by_split"].get(split, 0) for split in ("train", "val", "calibration")}}
        for name, source in export["by_source"].items()
    ]  # fmt: skip


def _whereabouts(went: Mapping[str, int] | None) -> list[dict[str, Any]]:
    """What became of lines, the good first; what nothing came to is left out."""
    known = {title: (went or {}).get(name, 0) for name, title in _WHEREABOUTS.items()}
    return bars({title: lines for title, lines in known.items() if lines})


def _list_table(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A list's first lines as a table, its columns as the lines name them."""
    keys = list(dict.fromkeys(key for line in entry["head"] for key in line))
    columns = [{"key": key, "title": key.replace("_", " ")} for key in keys]
    return {**entry, "rows": entry["head"], "columns": columns}


def _drift_row(row: Mapping[str, Any], limits: Mapping[str, Any]) -> dict[str, Any]:
    """The verdict is that of the gates: the whole corpus is not judged, a source set that is gone fails."""
    shown_row = {**row, "points": None if row["change"] is None else 100 * row["change"]}
    if row["source"] is None:
        return {**shown_row, "source": "all of them", "state": "info"}
    if row["js"] is None:
        return {**shown_row, "state": "fail" if row["before"] and not row["after"] else "info"}
    within = row["js"] <= limits["max_drift_js"] and row["linf"] <= limits["max_drift_linf"]
    return {**shown_row, "state": "pass" if within else "fail"}


def _per_cent(part: float, whole: float) -> float:
    """Short enough for a cell: 25.7, 1.6, 0.04."""
    value = 100 * _share(part, whole)
    return round(value, 1) if value >= 1 else float(f"{value:.1g}")


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
