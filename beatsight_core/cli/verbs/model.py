"""Verbs of the model: train, evaluate, classify."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from beatsight_core.cli import text
from beatsight_core.cli.manifest_argument import manifest_argument
from beatsight_core.cli.number_type import FiniteRange
from beatsight_core.cli.path_type import OUTPUT_PATH, PATH
from beatsight_core.cli.renamed import renamed_option
from beatsight_core.cli.verb import Session, verb
from beatsight_core.cli.verbs.judgement import show_probe
from beatsight_core.errors import UsageError
from beatsight_core.safe_text import for_terminal
from beatsight_core.settings import CHANNELS
from beatsight_core.typed_json import to_json

if TYPE_CHECKING:
    from beatsight_core.evaluation.compare_models import RivalComparison
    from beatsight_core.evaluation.evaluate import ShownEvaluation

_device = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")


@click.option("--preset", metavar="PRESET", default="warmup", show_default=True, help="warmup, baseline or long_run.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Override a value of the preset.")
@click.option(
    "--fresh", is_flag=True, help="Start again instead of going on with the same run, which is put aside and stays."
)
@click.option("--extend", metavar="RUN", help="Go on from RUN's newest checkpoint with more epochs, as a new run.")
@click.option(
    "--max-seconds",
    type=FiniteRange(0, min_open=True),
    metavar="N",
    help="End before N seconds are over, with a checkpoint; exit 75 if there is more to do.",
)
@renamed_option(
    "--override-health", "--despite-health", help="Go on although the data's health forbids it; kept with the run."
)
@renamed_option("--override-probe", "--despite-probe", help="Go on although the probe forbids it; kept with the run.")
@click.option("--probe", metavar="RUN", help="The probe that a long run goes by, instead of the newest that counts.")
@renamed_option(
    "--override-version",
    "--despite-version",
    help="With --fresh, although a model version came of the run; kept with the run that is put aside.",
)
@_device
@manifest_argument()
@verb
def train(session: Session, manifest: str, preset: str, assignments: tuple[str, ...], **options: Any) -> int:
    """Train on MANIFEST by a preset; the same command goes on where an interrupted run stopped.

    The baseline and the long run ask for data that passed the health gates, the long run for a healthy probe as well,
    of its own recipe and on the same data; so does any preset that is given as many epochs. A warm-up probe is judged
    at once, unless a time limit is set; its verdict does not change the exit code.
    """
    from beatsight_core.compute.hold import device_for
    from beatsight_core.dataset.index import dataset_key
    from beatsight_core.promotion.clearance import HEALTH, PROBE, require_clearance
    from beatsight_core.promotion.probe_record import PROBE_PRESET, judge_probe
    from beatsight_core.runs.presets import load_preset
    from beatsight_core.training.run import RunOptions
    from beatsight_core.training.run import train as run

    began, limit = time.monotonic(), options["max_seconds"]
    settings, overrides = session.settings, _overrides(assignments)
    key = dataset_key(settings, manifest)
    config = load_preset(settings, preset, overrides)
    reasons = {HEALTH: options["override_health"], PROBE: options["override_probe"]}
    overridden = require_clearance(settings, key, config, reasons=reasons, probe=options["probe"])
    holder, count = {"verb": "train", "manifest": key}, max(config.processes, 1)
    with device_for(options["device"], holder, count=count, timeout_s=limit) as device:
        left = None if limit is None else max(limit - (time.monotonic() - began), 0.0)
        how = RunOptions(
            options["fresh"], options["extend"], left, gate_overrides=tuple(overridden.values()),
            version_override=options["override_version"],
        )  # fmt: skip
        result = run(settings, key, preset, overrides=overrides, device=device, options=how, progress=session.progress)
        probe = None
        if preset == PROBE_PRESET and limit is None:
            probe = judge_probe(settings, result.run_id, device=device, progress=session.progress)
    said = {"despite": {gate: str(override) for gate, override in overridden.items()}, "probe": probe}
    session.show(result.to_json() | {name: value for name, value in said.items() if value}, _show_train)
    return 0


@click.option("--on", "on", metavar="MANIFEST", help="Evaluate on another manifest.")
@click.option("--split", type=click.Choice(["val", "all"]), default="val", show_default=True)
@click.option("--fraction", type=FiniteRange(0, 1, min_open=True), help="A stratified, seeded part of the hits.")
@click.option("--against", metavar="MODEL", help="Compare with this run or version too.")
@_device
@click.argument("run")
@verb
def evaluate(
    session: Session, run: str, on: str | None, split: str, fraction: float | None, against: str | None, device: str
) -> int:
    """Evaluate RUN (a run id, a unique beginning of one, or `latest`) and write the report.

    It is compared on the same hits with the run of its preset before it and with the champion.
    """
    from beatsight_core.compute.hold import device_for
    from beatsight_core.evaluation.evaluate import HitSelection, ShownEvaluation
    from beatsight_core.evaluation.evaluate import evaluate as judge

    with device_for(device, {"verb": "evaluate", "run": run}) as held:
        result = judge(
            session.settings, run, HitSelection(on, split, fraction), against=against, compare=True, device=held,
            progress=session.progress,
        )  # fmt: skip
    session.show_as(ShownEvaluation, result.to_json(), _show_evaluation)
    return 0


@click.option("--onsets", type=PATH, help="A file of onsets: text, CSV, JSON, JAMS, Audacity, Sonic Visualiser.")
@click.option("--model", help="A version, previous, challenger, a run, or a folder; not the champion.")
@click.option("--out", type=OUTPUT_PATH, help="Write here: .json, .csv or .mid.")
@click.option("--backend", type=click.Choice(["torch", "onnx"]), default="torch", show_default=True)
@click.option("--channel", type=click.Choice(CHANNELS), default="mix", show_default=True, help="What is listened to.")
@_device
@click.argument("audio", type=PATH)
@verb
def classify(session: Session, audio: Path, onsets: Path | None, out: Path | None, **options: Any) -> int:
    """Name the drums struck in AUDIO, at given onsets or at those found in it."""
    from beatsight_core.compute.hold import device_for
    from beatsight_core.inference import load
    from beatsight_core.inference.classification import checked_suffix
    from beatsight_core.inference.loading import find

    if out is not None:
        checked_suffix(out)
    backend = options["backend"]
    model = find(options["model"], session.data_root)  # before a wait for a device, which may be long
    wanted = "cpu" if backend == "onnx" and options["device"] == "auto" else options["device"]
    with device_for(wanted, {"verb": "classify", "audio": audio.name}, small=True) as device:
        classifier = load(model, backend=backend, device=device, data_root=session.data_root)
        result = classifier.classify_file(audio, onsets, options["channel"])
    if out is not None:
        result.write(out)
        click.echo(f"Written: {for_terminal(str(out))}", err=True)
    session.show(result.to_json(), _show_classification)
    return 0


def _overrides(assignments: tuple[str, ...]) -> dict[str, str]:
    """`key=value` texts as a table; the preset gives the types."""
    wrong = [text for text in assignments if "=" not in text]
    if wrong:
        raise UsageError(f"--set {wrong[0]} has no value", do="write --set key=value, as in --set epochs=2")
    return dict(text.split("=", 1) for text in assignments)


def _show_train(result: dict[str, Any]) -> None:
    before = " before; nothing was left to do" if result["was_finished"] else ""
    epochs = f"{result['epochs']} epoch" + ("s" if result["epochs"] != 1 else "")
    text.headline(f"Run {result['run_id']}: {result['status']}{before}, after {epochs}")
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
    if "probe" in result:
        show_probe(result["probe"])


def _show_evaluation(result: "ShownEvaluation") -> None:
    metrics = result.metrics
    text.headline(f"{result.run_id} on {result.on} ({result.split}): {metrics.hits:,} hits")
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
    text.figures({name.replace("_", " "): getattr(metrics, name) for name in names})
    text.figures({"hits it learned from": result.learned_hits})
    rows = [{"component": label, **to_json(scores)} for label, scores in metrics.per_class.items()]
    text.table(rows, ["component", "positives", "precision", "recall", "f1", "ap"], "Per component")
    for rival in result.against:
        text.figures({f"against {rival.name}": _change(rival)})
    wrong = [str(row["message"]) for row in result.curves if not row["passed"]]
    text.figures({"curves": "; ".join(wrong) or "nothing wrong", "likely label errors": result.label_errors})
    text.figures({"report": result.report_html, "as JSON": result.report_json})


def _change(rival: "RivalComparison") -> str:
    """Return one comparison in a line."""
    change = rival.change
    if change is None:
        return f"not compared: {rival.why_not}"
    accuracy = change.accuracy
    span = "" if accuracy.low is None else f" ({accuracy.low:+.3f} to {accuracy.high:+.3f})"
    moved = "unknown" if accuracy.difference is None else f"{accuracy.difference:+.3f}{span}"
    better, worse = (", ".join(labels) or "none" for labels in (change.better, change.worse))
    return f"{', '.join(rival.roles)}: accuracy {moved}; better: {better}; worse: {worse}"


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
