"""Core results as Dagster shows them: tables, pictures, numbers that plot, paths. Only shapes; core counts and draws.

Every asset shows in the order in which a person reads: verdict, report, what failed, pictures, figures, tables, and at
the end the places of files. Numbers under one name over several partitions are plotted by the UI; `dagster/row_count`
is a badge.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from beatsight_core.gates.gate import written_rows
from beatsight_core.safe_text import fence_for, for_markdown, for_terminal

if TYPE_CHECKING:
    from beatsight_core.settings import Settings

Metadata = dict[str, Any]

ROW_COUNT = "dagster/row_count"
_LONGEST_TABLE = 200

_COLUMNS = {
    "gate": "Figure that is held against a limit.",
    "passed": "Whether the value keeps the limit.",
    "value": "What was measured, with its unit.",
    "limit": "Sign and limit, with its unit.",
    "margin": "Distance from the value to the limit; negative where the gate failed.",
    "finding": "What was found, and what to do about it.",
    "component": "Drum or cymbal, by its label in the taxonomy.",
    "positives": "Reference hits that hold the component.",
    "precision": "Share of predictions of the component that are right.",
    "recall": "Share of reference hits of the component that were predicted.",
    "f1": "Harmonic mean of precision and recall.",
    "ap": "Average precision: precision over all thresholds.",
    "threshold": "Probability from which the component counts as predicted.",
    "source_set": "Corpus or drive that the events are of.",
    "events": "Lines of the manifest.",
    "hits": "Strokes that fall together and are one clip.",
    "clips": "Hits with audio.",
    "difference": "After minus before.",
    "low": "Lower end of the 95 % interval.",
    "high": "Upper end of the 95 % interval.",
}
"""What the columns of tables mean; the UI shows it beside their names."""


def text(value: str) -> dg.MetadataValue:
    """Return text that shows all its characters, and turns no other text round."""
    return dg.MetadataValue.text(for_terminal(value, lines=True))


def number(value: float | None) -> dg.MetadataValue:
    """Return a number that plots, of five digits; a dash where it was not measured or is not finite."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return text("–")
    return dg.MetadataValue.int(value) if isinstance(value, int) else dg.MetadataValue.float(float(f"{value:.5g}"))


def numbers(values: Mapping[str, Any], names: Iterable[str]) -> Metadata:
    """Return some numbers of a result under their own names."""
    return {name: number(values.get(name)) for name in names}


def table(rows: Iterable[Mapping[str, Any]]) -> dg.MetadataValue:
    """Return rows as a table; the first row gives the columns. A long table is cut and says so."""
    listed = [{name: _cell(value) for name, value in row.items()} for row in rows]
    if not listed:
        return text("none")
    cut = listed[:_LONGEST_TABLE]
    if len(listed) > len(cut):
        first = next(iter(listed[0]))
        cut.append({**dict.fromkeys(listed[0], ""), first: f"… {len(listed) - len(cut)} more rows"})
    return dg.MetadataValue.table([dg.TableRecord(row) for row in cut], schema=_schema(cut))


def counts(values: Mapping[str, Any], name: str, value: str = "count") -> dg.MetadataValue:
    """Return a mapping of names to counts as a table of two columns."""
    return table({name: key, value: count} for key, count in values.items())


def picture(png: bytes, what: str) -> dg.MetadataValue:
    """Return a small PNG, shown in the UI's Markdown window.

    Args:
        png: Bytes of the picture, at most 100 KB, as `pages.pictures` draws them.
        what: Text for those who cannot see the picture.
    """
    from beatsight_core.pages.pictures import data_uri

    return dg.MetadataValue.md(f"![{for_markdown(what)}]({data_uri(png)})")


def report(settings: "Settings", place: str | Path) -> dg.MetadataValue:
    """Return a report as a link that opens it, as the web server of `beatsight dev` serves it; else its path."""
    from beatsight_core.report_addresses import report_address

    address = report_address(settings, place)
    return dg.MetadataValue.url(address) if address else path(place)


def verdict(passed: bool, failed: int, total: int) -> dg.MetadataValue:
    """Return a verdict on gates in words."""
    return text(f"passed: all {total} gates" if passed else f"FAILED: {failed} of {total} gates")


def path(place: str | Path) -> dg.MetadataValue:
    """Return the path of a file or folder."""
    return dg.MetadataValue.path(for_terminal(str(place)))


def failed_gates(gates: Iterable[Mapping[str, Any]]) -> dg.MetadataValue:
    """Return the gates that did not pass as a table of three narrow columns: gate, value, limit."""
    return table(
        {"gate": gate.name, "value": gate.value, "limit": gate.limit} for gate in written_rows(gates) if not gate.passed
    )


def gates_table(gates: Iterable[Mapping[str, Any]]) -> dg.MetadataValue:
    """Return gates as a table with value, limit and margin, the failed ones first."""
    rows = [
        {
            "gate": gate.name,
            "passed": "yes" if gate.passed else "NO",
            "value": gate.value,
            "limit": gate.limit,
            "margin": gate.margin,
            "finding": gate.finding,
        }
        for gate in written_rows(gates)
    ]
    return table(sorted(rows, key=lambda row: row["passed"] == "yes"))


def manifest_metadata(summary: Mapping[str, Any], folder: Path) -> Metadata:
    """Return a catalog's figures."""
    sources = [
        {"source_set": name, "events": events, "hits": summary["hits_by_source"].get(name, 0)}
        for name, events in summary["events_by_source"].items()
    ]
    labels = [
        {"component": name, "events": events, "hits": summary["hits_by_label"].get(name, 0)}
        for name, events in summary["events_by_label"].items()
    ]
    return {
        ROW_COUNT: dg.MetadataValue.int(summary["kept"]),
        **numbers(summary, ("read", "kept", "rejected", "hits", "sessions", "files", "duplicates")),
        "by source set": table(sources),
        "by component": table(labels),
        "by split": counts(summary["hits_by_split"], "split", "hits"),
        "rejected for": counts(summary["rejects_by_reason"], "reason", "lines"),
        "split notes": _items(summary["split_notes"]),
        "manifest": path(summary["manifest"]),
        "catalog": path(folder),
    }


def inventory_metadata(inventory: Mapping[str, Any]) -> Metadata:
    """Return an audio inventory's figures."""
    sources = [
        {
            "source_set": name,
            "files": source["files"],
            "ok": source["ok"],
            "missing": source["missing"],
            "unreadable": source["unreadable"],
            "events without audio": source["missing_events"] + source["unreadable_events"],
            "events past the end": source["events_past_end"],
            "seconds": round(source["seconds"], 1),
            "other rate than expected": source["unexpected_rate"],
        }
        for name, source in inventory["by_source"].items()
    ]
    roots = [
        {"source_set": r["source_set"], "root": str(r["root"]), "mounted": r["mounted"]} for r in inventory["roots"]
    ]
    names = ("files", "ok", "missing", "unreadable", "missing_events", "unreadable_events", "events_past_end")
    return {
        ROW_COUNT: dg.MetadataValue.int(inventory["files"]),
        **numbers(inventory, names),
        "by source set": table(sources),
        "roots": table(roots),
        "files that cost events": table(inventory["lost_files"]),
    }


def dataset_metadata(settings: "Settings", index: Any, page: Path | None = None) -> Metadata:
    """Return a source set's clips, from its index (`dataset.index.Index`), and the dataset's page if there is one."""
    from beatsight_core.dataset.shards.shard_schema import COLUMN_TEXTS, SHARD_SCHEMA
    from beatsight_core.typed_json import to_json

    columns = [dg.TableColumn(field.name, str(field.type), COLUMN_TEXTS[field.name]) for field in SHARD_SCHEMA]
    clips = index.counts.clips
    return {
        **({"report": report(settings, page)} if page else {}),
        ROW_COUNT: dg.MetadataValue.int(clips),
        "dagster/column_schema": dg.TableSchema(columns),
        "hits": number(index.counts.hits),
        "clips": number(clips),
        "shards": number(len(index.shards)),
        "bytes": number(index.bytes),
        "rejected for": counts(index.rejected, "reason", "hits"),
        "files that lost hits": table(to_json(lost) for lost in index.rejected_files),
        "seconds by split": counts(index.seconds_by_split, "split", "seconds"),
        "digest": text(index.digest),
    }


def features_metadata(result: Mapping[str, Any]) -> Metadata:
    """Return the figures of a source set's feature cache."""
    names = ("clips", "bytes", "shards_written", "shards_reused", "seconds", "coverage")
    return {
        ROW_COUNT: dg.MetadataValue.int(result["clips"]),
        **numbers(result, names),
        "spec": text(result["spec"]),
        "folder": path(result["folder"]),
    }


def health_metadata(settings: "Settings", result: Mapping[str, Any]) -> Metadata:
    """Return a health report's verdict and headline figures."""
    from beatsight_core.pages.pictures import gates as draw

    gates = result["gates"]
    failed = sum(not gate["passed"] for gate in gates)
    totals = {name: value for name, value in result["totals"].items() if isinstance(value, int | float)}
    return {
        "verdict": verdict(result["passed"], failed, len(gates)),
        "report": report(settings, result["report_html"]),
        "failed gates": failed_gates(gates),
        "picture": picture(draw(written_rows(gates), title="Gates"), "gates with their margins"),
        "passed": dg.MetadataValue.bool(result["passed"]),
        "failed_gates": dg.MetadataValue.int(failed),
        **numbers(totals, totals),
        "gates": gates_table(gates),
        "worth knowing": table(result["tables"]["notices"]),
        "sound by source set": table(result["tables"]["sound"]),
        "drift since the baseline": table(result["tables"]["drift"]),
        "what became of every line": table(result["tables"]["whereabouts"]),
        "seal": text(result["seal"]),
        "report as a file": path(result["report_html"]),
        "report as JSON": path(result["report_json"]),
    }


def evaluation_metadata(settings: "Settings", result: Mapping[str, Any]) -> Metadata:
    """Return an evaluation's figures, its confusions and what changed."""
    drawn = Path(result["confusion_png"]).read_bytes()
    metrics = result["metrics"]
    names = ("hits", "accuracy", "exact_match", "top1_in_set", "macro_f1", "macro_ap", "loss", "legacy_accuracy",
             "legacy_ceiling")  # fmt: skip
    rows = [
        {"component": label, **{name: scores[name] for name in ("positives", "precision", "recall", "f1", "ap")}}
        for label, scores in metrics["per_class"].items()
    ]
    return {
        "verdict": text(f"accuracy {metrics['accuracy']:.3f}, exact match {metrics['exact_match']:.3f}"),
        "report": report(settings, result["report_html"]),
        "run_id": text(result["run_id"]),
        "evaluated on": text(f"{result['on']}, split {result['split']}"),
        "confusion": picture(drawn, "confusion of components"),
        **numbers(metrics, names),
        "by component": table(rows),
        "watched confusions": table({"pair": name, **found} for name, found in result["pairs"].items()),
        "compared": table(_changes(result["against"])),
        "report as a file": path(result["report_html"]),
        "report as JSON": path(result["report_json"]),
        "confusion as JSON": path(result["confusion_json"]),
        "mistakes": path(result["misclassified_json"]),
        "likely label errors": number(result["label_errors"]),
        "likely label errors as JSON": path(result["label_errors_json"]),
    }


def _changes(against: Sequence[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    """What an evaluation's comparisons found, a row for each figure of each rival."""
    for rival in against:
        about = {"compared with": rival["name"], "as": ", ".join(rival["roles"])}
        change = rival["change"]
        if change is None:
            yield {**about, "figure": f"not compared: {rival['why_not']}", "before": None, "after": None,
                   "difference": None, "low": None, "high": None}  # fmt: skip
            continue
        rows = {"accuracy": change["accuracy"], "exact match": change["exact_match"], "macro-F1": change["macro_f1"]}
        moved = {f"F1 {label}": change["f1"][label] for label in (*change["better"], *change["worse"])}
        for figure, row in {**rows, **moved}.items():
            yield {**about, "figure": figure, **row}


def promotion_metadata(result: Mapping[str, Any], record: Path) -> Metadata:
    """Return a promotion's verdict."""
    from beatsight_core.pages.pictures import gates as draw

    criteria = result["criteria"]
    failed = sum(not gate["passed"] for gate in criteria)
    files = {"files of the version": gates_table(result["infrastructure"])} if result["infrastructure"] else {}
    diffs = "\n".join(str(change["diff"]) for change in result["changes"])
    return {
        "verdict": verdict(not failed, failed, len(criteria)),
        "notice": text("; ".join(filter(None, (result["notice"], result["untold"]))) or "none"),
        "failed criteria": failed_gates(criteria),
        "picture": picture(draw(written_rows(criteria), title="Promotion criteria"), "criteria with their margins"),
        "version": number(result["version"]),
        "run_id": text(result["run_id"]),
        "criteria": gates_table(criteria),
        **files,
        "changed in external files": _diff(diffs),
        "champion": path(result["current"]),
        "model card": path(result["card"]),
        "gate record": path(record),
    }


def archive_metadata(result: Mapping[str, Any]) -> Metadata:
    """Return what was archived."""
    return {
        "run_id": text(result["run_id"]),
        **numbers(result, ("files", "bytes")),
        "absent": text(", ".join(result["absent"]) or "nothing"),
        "archive": path(result["folder"]),
    }


def _items(texts: Iterable[str]) -> dg.MetadataValue:
    """Texts as a list."""
    return dg.MetadataValue.md("\n".join(f"- {for_markdown(one)}" for one in texts) or "none")


def _diff(lines: str) -> dg.MetadataValue:
    """What changed in files, between fences that no line of theirs can close."""
    shown = for_terminal(lines, lines=True)
    fence = fence_for(shown)
    return dg.MetadataValue.md(f"{fence}diff\n{shown}\n{fence}" if shown else "nothing")


def _cell(value: Any) -> str | int | float | bool:
    if value is None:
        return "–"
    if isinstance(value, float):
        return round(value, 5) if math.isfinite(value) else "–"
    return value if isinstance(value, int | bool) else for_terminal(str(value))


def _schema(rows: Sequence[Mapping[str, Any]]) -> dg.TableSchema:
    def kind(name: str) -> str:
        kinds = {type(row[name]) for row in rows}
        if kinds <= {bool}:
            return "bool"
        if kinds <= {int}:
            return "int"
        return "float" if kinds <= {int, float} else "string"

    return dg.TableSchema([dg.TableColumn(name, kind(name), _COLUMNS.get(name)) for name in rows[0]])
