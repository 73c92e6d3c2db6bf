"""Verbs of the model: train, evaluate, classify."""

from pathlib import Path
from typing import Any

import click

from beatsight_core.cli import text
from beatsight_core.cli.verb import Session, verb
from beatsight_core.errors import UsageError

_device = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")


@click.option("--preset", default="warmup", show_default=True, help="warmup, baseline or long_run.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Override a value of the preset.")
@click.option("--fresh", is_flag=True, help="Start again instead of going on with the same run.")
@click.option("--despite", metavar="REASON", help="Go on although health or probe forbid it; the reason is logged.")
@_device
@click.argument("manifest")
@verb
def train(session: Session, manifest: str, preset: str, assignments: tuple[str, ...], **options: Any) -> int:
    """Train on MANIFEST by a preset; the same command goes on where an interrupted run stopped.

    The baseline and the long run ask for data that passed the health gates, the long run for a healthy probe as well.
    """
    from beatsight_core.compute.hold import device_for
    from beatsight_core.dataset.index import dataset_key
    from beatsight_core.promotion.clearance import HEALTH, PROBE, require_clearance
    from beatsight_core.training.run import train as run

    settings, overrides = session.settings, _overrides(assignments)
    key = dataset_key(settings, manifest)
    waived = require_clearance(settings, key, preset, despite=dict.fromkeys((HEALTH, PROBE), options["despite"]))
    with device_for(options["device"], {"verb": "train", "manifest": key}) as device:
        result = run(
            settings, key, preset, overrides=overrides, device=device, fresh=options["fresh"],
            progress=session.progress,
        )  # fmt: skip
    session.show(result.to_json() | ({"despite": waived} if waived else {}), _show_train)
    return 0


@click.option("--on", "on", metavar="MANIFEST", help="Evaluate on another manifest.")
@click.option("--split", type=click.Choice(["val", "all"]), default="val", show_default=True)
@click.option("--fraction", type=click.FloatRange(0, 1, min_open=True), help="A stratified, seeded part of the hits.")
@_device
@click.argument("run")
@verb
def evaluate(session: Session, run: str, on: str | None, split: str, fraction: float | None, device: str) -> int:
    """Evaluate RUN (a run id, a unique beginning of one, or `latest`) and write the report."""
    from beatsight_core.compute.hold import device_for
    from beatsight_core.evaluation.report import evaluate as judge

    with device_for(device, {"verb": "evaluate", "run": run}) as held:
        result = judge(
            session.settings, run, on=on, split=split, fraction=fraction, device=held, progress=session.progress
        )
    session.show(result.to_json(), _show_evaluation)
    return 0


@click.option("--onsets", type=click.Path(path_type=Path), help="Onsets in seconds: CSV, text or JSON.")
@click.option("--model", help="A version or run instead of the champion.")
@click.option("--out", type=click.Path(path_type=Path), help="Write here: .json, .csv or .mid.")
@_device
@click.argument("audio", type=click.Path(path_type=Path))
@verb
def classify(
    session: Session, audio: Path, onsets: Path | None, model: str | None, out: Path | None, device: str
) -> int:
    """Name the drums struck in AUDIO, at given onsets or at those found in it."""
    from beatsight_core.evaluation.classify import classify_audio

    if out is not None and out.suffix.lower() not in (".json", ".csv", ".mid", ".midi"):
        raise UsageError(f"{out.name} is not a kind that can be written", do="name it .json, .csv or .mid")
    result = classify_audio(session.settings, audio, onsets=onsets, model=model, device=device)
    if out is not None:
        result.write(out)
        click.echo(f"Written: {out}", err=True)
    session.show(result.to_json(), _show_classification)
    return 0


def _overrides(assignments: tuple[str, ...]) -> dict[str, str]:
    """`key=value` texts as a table; the preset gives the types."""
    wrong = [text for text in assignments if "=" not in text]
    if wrong:
        raise UsageError(f"--set {wrong[0]} has no value", do="write --set key=value, as in --set epochs=2")
    return dict(text.split("=", 1) for text in assignments)


def _show_train(result: dict[str, Any]) -> None:
    text.headline(f"Run {result['run_id']}: {result['status']} after {result['epochs']} epochs")
    shown = ("loss", "accuracy", "exact_match", "top1_in_set", "macro_f1", "macro_ap")
    text.figures(
        {
            **{name.replace("_", " "): result["metrics"].get(name) for name in shown},
            "best epoch": result.get("best_epoch"),
            "clips/s": result.get("clips_per_second"),
            "seconds": result["seconds"],
            "resumed": result.get("resumed"),
            "despite": result.get("despite"),
            "folder": result["folder"],
        }
    )


def _show_evaluation(result: dict[str, Any]) -> None:
    metrics = result["metrics"]
    text.headline(f"{result['run_id']} on {result['on']} ({result['split']}): {metrics['hits']:,} hits")
    names = (
        "accuracy",
        "exact_match",
        "top1_in_set",
        "macro_f1",
        "macro_ap",
        "loss",
        "legacy_accuracy",
        "legacy_ceiling",
    )
    text.figures({name.replace("_", " "): metrics.get(name) for name in names})
    rows = [{"component": label, **values} for label, values in metrics["per_class"].items()]
    text.table(rows, ["component", "positives", "precision", "recall", "f1", "ap"], "Per component")
    text.figures({"report": result.get("report_html"), "as JSON": result.get("report_json")})


def _show_classification(result: dict[str, Any]) -> None:
    rows = [
        {
            "onset": f"{row['onset']:.3f} s",
            "components": ", ".join(row["components"]) or "(none sure)",
            "probabilities": ", ".join(
                f"{label} {value:.2f}"
                for label, value in sorted(row["probabilities"].items(), key=lambda item: -item[1])[:3]
            ),
        }
        for row in result["hits"]
    ]
    text.headline(f"{len(rows)} hits, by {result['model']}")
    text.table(rows, ["onset", "components", "probabilities"])
