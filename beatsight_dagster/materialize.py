"""Take a manifest through the graph from a terminal: the same assets, executor and instance as in the UI, no daemon.

    python -m beatsight_dagster.materialize MANIFEST                 everything, with the warm-up probe as the model
    python -m beatsight_dagster.materialize MANIFEST --until health  up to the health report
    python -m beatsight_dagster.materialize MANIFEST --preset baseline --set epochs=4

MANIFEST is a path, a name in the inbox, or a key. Each step is a run of the job that the UI knows it by: prepare_data,
export_data, judge_data, then probe, baseline_refresh or long_run, and release. They share one server of steps, so that
a run more costs little. What happens is printed to standard error.
"""

import argparse
import contextlib
import os
import signal
import socket
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import psutil

from beatsight_core.errors import GateError, UsageError
from beatsight_core.runs.presets import load_checked_settings, load_preset
from beatsight_core.settings import Settings
from beatsight_dagster.endings import told_at_the_end
from beatsight_dagster.executor.run_here import job_named, run_here
from beatsight_dagster.executor.step_processes import one_server
from beatsight_dagster.instance import LOCATION, use_home
from beatsight_dagster.jobs import baseline_refresh, export_data, judge_data, long_run, prepare_data, probe, release
from beatsight_dagster.partitions import register, source_range, to_partition
from beatsight_dagster.preset_config import from_text
from beatsight_dagster.run_tags import (
    DRIVE_TAG,
    MANIFEST_TAG,
    PARTITION_TAG,
    PROCESS_TAG,
    RANGE_END_TAG,
    RANGE_START_TAG,
    STAGE_TAG,
)
from beatsight_dagster.terminal.event_lines import EventPrinter
from beatsight_dagster.terminal.graph_bar import lines_with_bar

MODELS = {"warmup": "warmup_probe", "baseline": "baseline_model", "long_run": "long_run_model"}
"""Preset -> the asset that trains it."""

TRAINING = {"warmup": probe.name, "baseline": baseline_refresh.name, "long_run": long_run.name}
"""Preset -> the job that trains it, and evaluates it."""

NO_RETRY = {"dagster/max_retries": "0"}
"""The daemon starts no run again that this process carries out: whoever began it goes on with the same command."""

STAGES = ("ingest", "export", "health", "training", "evaluation", "promotion", "archive")
_INGESTED, _EXPORTED = ("manifest", "audio_inventory"), ("dataset", "feature_cache")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class GraphRequest:
    """What to materialize.

    Attributes:
        manifest: Path, name in the inbox, or key.
        until: Last of `STAGES` to carry out.
        presets: Presets to train.
        overrides: Values of those presets to change.
        device: Device of features, training and evaluation: auto, cpu, cuda.
        fresh: True to train again even where a finished run is there.
        executor: Config of the executor.
    """

    manifest: str | Path
    until: str = "archive"
    presets: tuple[str, ...] = ("warmup",)
    overrides: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)
    device: str = "auto"
    fresh: bool = False
    executor: Mapping[str, int | float | str | Mapping[str, int]] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Number of steps that the graph takes: one for each asset."""
        stages = _stages_until(self.until)
        before = len(_INGESTED) + (len(_EXPORTED) if "export" in stages else 0)
        return before + sum(len(assets) for _, assets in _after_export(stages, self.presets))


@dataclass(frozen=True, slots=True)
class GraphResult:
    """What was materialized.

    Attributes:
        key: Key of the manifest.
        partition: Partition of the manifest.
        runs: Ids of Dagster's runs, in order.
        seconds: Seconds from the beginning to the end.
    """

    key: str
    partition: str
    runs: tuple[str, ...]
    seconds: float

    def to_json(self) -> dict[str, str | float | list[str]]:
        """Return all attributes, JSON-safe."""
        return {"key": self.key, "partition": self.partition, "runs": list(self.runs), "seconds": self.seconds}


def materialize_graph(
    settings: Settings,
    request: GraphRequest,
    *,
    instance: dg.DagsterInstance | None = None,
    say: Say | None = None,
) -> GraphResult:
    """Register a manifest's partitions and run the jobs over it, one after the other, until one fails.

    Args:
        settings: Settings of the data root that is worked on.
        request: Request that says what to materialize.
        instance: Instance instead of the data root's own; other processes must be able to open it.
        say: Receives a line for every step; by default lines are printed to standard error.

    Raises:
        BeatSightError: The request is wrong, or (as `GateError`) a step failed; the message says which and why.
    """
    from beatsight_core.manifest.read_manifest import manifest_key, open_catalog, resolve_manifest

    say = say or (lambda line: print(line, file=sys.stderr, flush=True))
    stages = _stages_until(request.until)
    for preset in request.presets if "training" in stages else ():
        if preset in MODELS:
            load_preset(settings, preset, request.overrides)  # now, and not when hours of work are done
    path = resolve_manifest(settings, request.manifest)
    key, began, runs = manifest_key(path), time.monotonic(), []
    partition = to_partition(key)
    with one_server(), contextlib.ExitStack() as stack:
        use_home(settings)
        if instance is None:
            instance = stack.enter_context(dg.DagsterInstance.get())
        fail_runs_of_dead_drivers(instance)
        register(instance, [key])
        one = {PARTITION_TAG: partition}
        drive = _Drive(settings, request, instance, say)
        runs.append(drive.run(prepare_data.name, _INGESTED, one, path))
        if "export" in stages:
            source_sets = open_catalog(settings, key).source_sets
            first, last = source_range(instance, key, source_sets)
            span = {RANGE_START_TAG: first, RANGE_END_TAG: last, STAGE_TAG: "export", MANIFEST_TAG: partition}
            runs.append(drive.run(export_data.name, _EXPORTED, span))
        runs += [drive.run(job, assets, one) for job, assets in _after_export(stages, request.presets)]
    return GraphResult(key, partition, tuple(runs), round(time.monotonic() - began, 3))


def _stages_until(last: str) -> tuple[str, ...]:
    if last not in STAGES:
        raise UsageError(f"There is no stage {last!r}", do=f"choose one of {', '.join(STAGES)}")
    return STAGES[: STAGES.index(last) + 1]


def _after_export(stages: Sequence[str], presets: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    """The jobs that follow, each with those of its assets that are wanted. Training evaluates what it made."""
    unknown = [preset for preset in presets if preset not in MODELS]
    if unknown:
        raise UsageError(f"There is no preset {unknown[0]!r}", do=f"choose one of {', '.join(MODELS)}")
    released = tuple(
        asset for stage, asset in (("promotion", "promoted_model"), ("archive", "run_archive")) if stage in stages
    )
    return [
        *([(judge_data.name, ("dataset_health",))] if "health" in stages else []),
        *((TRAINING[preset], (MODELS[preset],)) for preset in presets if "training" in stages),
        *([(release.name, released)] if released else []),
    ]


@dataclass(slots=True)
class _Drive:
    """Runs jobs, or some of their assets, one Dagster run each, in this process."""

    settings: Settings
    request: GraphRequest
    instance: dg.DagsterInstance
    say: Say

    def run(self, job: str, assets: Sequence[str], partition_tags: Mapping[str, str], path: Path | None = None) -> str:
        """Materialize assets of a job in one run; its id.

        Raises:
            GateError: A step or a blocking check failed.
        """
        drive = uuid.uuid4().hex
        tags = {**partition_tags, DRIVE_TAG: drive, PROCESS_TAG: _this_process(), **NO_RETRY}
        printer = EventPrinter(self.instance, {DRIVE_TAG: drive}, self.say)
        with (
            printer,
            run_here(
                job_named(job), self.instance, assets=assets, tags=tags, run_config=self._config(assets, path),
                location=LOCATION,
            ) as result,
        ):  # fmt: skip
            run_id, success = result.run_id, result.success
        if not success:
            raise GateError(
                "Dagster's run did not succeed: " + ("; ".join(printer.failures) or "it was interrupted"),
                where=f"run {run_id}",
                do="mend what is named and run the same command again: what is done stays done",
            )
        return run_id

    def _config(self, assets: Sequence[str], path: Path | None) -> dict[str, Any]:
        request = self.request
        model = {"overrides": from_text(request.overrides), "device": request.device, "fresh": request.fresh}
        ops: dict[str, dict[str, Any]] = {
            "manifest": {"path": str(path)},
            "feature_cache": {"device": request.device},
            "promoted_model": {"device": request.device},
            **dict.fromkeys(MODELS.values(), model),
        }
        return {
            "ops": {name: {"config": config} for name, config in ops.items() if name in assets},
            "resources": {"settings": {"config": {"data_root": str(self.settings.data_root)}}},
            "execution": {"config": dict(request.executor)},
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        }


def _this_process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{psutil.Process().create_time():.2f}"


def fail_runs_of_dead_drivers(instance: dg.DagsterInstance) -> int:
    """Close runs that a killed process of this machine left open; how many there were."""
    unfinished = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    closed = 0
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=unfinished)):
        host, _, process = run.tags.get(PROCESS_TAG, "").partition(":")
        if host == socket.gethostname() and not _alive(process):
            instance.report_run_failed(run, message="The process that carried out this run was killed.")
            closed += 1
    return closed


def _alive(process: str) -> bool:
    pid, _, created = process.partition(":")
    try:
        return f"{psutil.Process(int(pid)).create_time():.2f}" == created
    except psutil.Error:
        return False


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command line; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m beatsight_dagster.materialize", description=__doc__.split("\n")[0])
    parser.add_argument("manifest", help="path, name in the inbox, or key")
    parser.add_argument("--until", choices=STAGES, default="archive", help="the last stage to carry out")
    parser.add_argument("--preset", action="append", choices=sorted(MODELS), help="train this; default: warmup")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a value of the preset"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--fresh", action="store_true", help="train again even if there is a finished run")
    parser.add_argument("--data-root", help="folder that holds everything")
    given = parser.parse_args(arguments)
    # A script's background job ignores SIGINT, and Dagster's processes would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if wrong := [text for text in given.set if "=" not in text]:
            raise UsageError(f"--set {wrong[0]} has no value", do="write --set key=value")
        request = GraphRequest(
            manifest=given.manifest,
            until=given.until,
            presets=tuple(given.preset or ["warmup"]),
            overrides=dict(text.split("=", 1) for text in given.set),
            device=given.device,
            fresh=given.fresh,
        )
        with lines_with_bar(request.steps) as say:
            result = materialize_graph(load_checked_settings(given.data_root), request, say=say)
    except Exception as error:  # noqa: BLE001 - the program ends with a paragraph
        return told_at_the_end(error)
    print(f"Materialized {result.key} in {result.seconds:.1f} s, {len(result.runs)} runs.", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
