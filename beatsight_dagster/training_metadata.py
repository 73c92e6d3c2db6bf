"""A trained model as Dagster shows it: figures that plot over partitions, tables, curves, and where all of it lies."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from beatsight_dagster.metadata import Metadata, number, numbers, path, picture, report, table, text

if TYPE_CHECKING:
    from beatsight_core.runs.records import Run
    from beatsight_core.settings import Settings

SHOWN = ("loss", "accuracy", "exact_match", "top1_in_set", "macro_f1", "macro_ap", "legacy_accuracy")
PLOTTED_F1 = ("kick", "snare", "crash")
"""Components that promotion asks for: their F1 are figures of their own, so that they plot."""

_LAST_EPOCHS = 12
_LINES = 6  # as many as a picture has colours


def training_metadata(settings: "Settings", result: Mapping[str, Any], run: "Run") -> Metadata:
    """Return the figures, tables and pictures of a finished run.

    Args:
        settings: Settings that say where reports lie.
        result: Result of the training, as `TrainResult.to_json` gave it.
        run: Run that was trained, a `runs.records.Run`.
    """
    history, judged = run.history, (run.metrics or {})["metrics"]
    f1 = {f"f1_{label}": result["metrics"]["f1"].get(label) for label in PLOTTED_F1}
    figures = result["metrics"]
    reached = f"accuracy {figures['accuracy']:.3f}, exact match {figures['exact_match']:.3f}"
    return {
        "verdict": text(f"{reached}, best epoch {result['best_epoch']} of {result['epochs']}"),
        **_evaluation(settings, run),
        **_pictures(history, judged["per_class"]),
        **_confusion(run),
        "run_id": text(result["run_id"]),
        **_figures(figures, SHOWN),
        **_figures(f1, f1),
        **_figures(result, ("epochs", "best_epoch", "seconds", "clips_per_second")),
        **machine_use(history),
        "resumed": dg.MetadataValue.bool(result["resumed"]),
        "by component": _by_component(run, judged["per_class"]),
        "last epochs": table(_epoch(line) for line in history[-_LAST_EPOCHS:]),
        "environment": _environment(run),
        **_tracking(run),
        "history": path(run.folder / "history.jsonl"),
        "run": path(run.folder),
    }


def _evaluation(settings: "Settings", run: "Run") -> Metadata:
    """The report of the run's evaluation, if there is one already, as of a probe."""
    from beatsight_core.evaluation.finding import find_evaluation
    from beatsight_core.evaluation.folder import PAGE

    found = find_evaluation(settings, run)
    return {"report": report(settings, found / PAGE)} if found else {}


def _figures(values: Mapping[str, Any], names: Iterable[str]) -> Metadata:
    """Numbers that plot, to six digits."""
    short = {name: float(f"{value:.6g}") if isinstance(value, float) else value for name, value in values.items()}
    return numbers(short, names)


def machine_use(history: Sequence[Mapping[str, Any]]) -> Metadata:
    """Return how well the run used its machine, over all epochs; what was not measured is left out."""
    trained_s = sum(line["train_seconds"] for line in history)
    found: dict[str, float] = {}
    if trained_s and all("data_wait_seconds" in line for line in history):
        found["data_wait_share"] = sum(line["data_wait_seconds"] for line in history) / trained_s
    for name in ("cpu_share", "device_utilisation"):
        measured = [(line[name], line["train_seconds"]) for line in history if line.get(name) is not None]
        if measured:
            found[name] = sum(share * s for share, s in measured) / max(sum(s for _, s in measured), 1e-9)
    return {name: number(round(value, 4)) for name, value in found.items()}


def _pictures(history: Sequence[Mapping[str, Any]], per_class: Mapping[str, Any]) -> Metadata:
    from beatsight_core.pages.pictures import curves

    if not history:
        return {}
    frequent = sorted(per_class, key=lambda label: -per_class[label]["positives"])[:_LINES]
    by_class = [{"epoch": line["epoch"], **line["f1"]} for line in history]
    kinds = ("val_accuracy", "val_exact_match", "val_macro_f1")
    return {
        "losses": picture(curves(history, ("train_loss", "val_loss"), title="Loss"), "losses by epoch"),
        "curves": picture(curves(history, kinds, title="Validation"), "validation metrics by epoch"),
        "F1 curves": picture(
            curves(by_class, frequent, title="F1 of the most frequent components"), "F1 of components by epoch"
        ),
        "learning rate": picture(curves(history, ("lr",), title="Learning rate"), "learning rate by epoch"),
    }


def _by_component(run: "Run", per_class: Mapping[str, Any]) -> dg.MetadataValue:
    thresholds = dict(zip(run.classes, run.thresholds.tolist(), strict=True))
    columns = ("positives", "f1", "precision", "recall", "ap")
    return table(
        {"component": label, **{name: per_class[label][name] for name in columns}, "threshold": thresholds[label]}
        for label in run.classes
    )


def _confusion(run: "Run") -> Metadata:
    """Of runs that kept their confusions."""
    from beatsight_core.files import read_json
    from beatsight_core.pages.pictures import confusion

    kept = run.folder / "curves.json"
    if not kept.exists():
        return {}
    found = read_json(kept)
    drawn = confusion(
        found["confusion"], found["classes"], found["columns"], title="Missed, and what was said instead",
        axes_names=("struck", "said"),
    )  # fmt: skip
    return {"confusion": picture(drawn, "confusion of components")}


def _epoch(line: Mapping[str, Any]) -> dict[str, Any]:
    shown = {
        "epoch": line["epoch"],
        "train loss": line["train_loss"],
        "val loss": line["val_loss"],
        "accuracy": line["val_accuracy"],
        "macro F1": line["val_macro_f1"],
        "rate": f"{line['lr']:.3g}",
        "clips/s": round(line["clips_per_second"]),
        "s": round(line["seconds"], 1),
        "s waiting": line.get("data_wait_seconds"),
        "device": line.get("device_utilisation"),
        "cpu": line.get("cpu_share"),
    }
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in shown.items()}


def _environment(run: "Run") -> dg.MetadataValue:
    from beatsight_core.runs.environment import environment_rows, read_environment

    return table(environment_rows(read_environment(run.folder)))


def _tracking(run: "Run") -> Metadata:
    """Where W&B shows the run: an address, an offline folder, or nowhere."""
    from beatsight_core.training.tracking.tracking import read_tracking

    state = read_tracking(run.folder)
    if not state:
        return {"W&B": text("not tracked")}
    place, note = state.get("place"), {}
    if state.get("problem"):
        note["W&B note"] = text(state["problem"])
    if not place:
        return note
    is_address = state["mode"] == "online" and place.startswith(("https://", "http://"))
    return {"W&B": dg.MetadataValue.url(place) if is_address else path(place), **note}
