"""The judgement of a warm-up probe, sealed: `runs/<run id>/gates/probe.json`. The long run asks for it.

A check in a user interface holds back only what is started together with it, so the long run asks here itself. As with
the gate record of a promotion, everything is measured again before it is believed, from the probe's evaluation and
history; a record that is altered or stale is refused with what differs.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from beatsight_core.errors import GateError, UsageError
from beatsight_core.evaluation.confusion import WATCHED_PAIRS, WatchedPair, confusion, watched_pair
from beatsight_core.evaluation.evaluate import (
    METRICS,
    current_digests,
    evaluate,
    features_for,
    find_evaluation,
    read_evaluation,
    require_finished,
)
from beatsight_core.files import read_json, sha256_file
from beatsight_core.gates.gate import Gate
from beatsight_core.gates.record import PROBE_RECORD, judging_environment, write_record
from beatsight_core.gates.release_limits import DEMO_NOTICE, probe_limits, probe_notice
from beatsight_core.progress import Progress
from beatsight_core.promotion.gate_records import read_probe_record
from beatsight_core.promotion.matching import Evaluated, not_of_candidate
from beatsight_core.promotion.probe_gates import confusion_gates, figure_gates, too_rare
from beatsight_core.promotion.probe_recipe import PROBE_PRESET, Wanted, is_of_manifest
from beatsight_core.provenance import who_and_when
from beatsight_core.runs.curve_checks import check_curves
from beatsight_core.runs.presets import TrainingConfig, load_preset
from beatsight_core.runs.records import CURVES, HISTORY, Run, list_runs, open_run
from beatsight_core.safe_text import for_shell
from beatsight_core.settings import Settings

__all__ = ["PROBE_PRESET", "judge_probe", "previous_probe", "require_probe"]

logger = logging.getLogger("beatsight")

NAMED = 3
"""Probes that do not count, named with the reason."""

Pairs = Mapping[str, WatchedPair]


def judge_probe(
    settings: Settings,
    run: str,
    *,
    device: str = "cpu",
    progress: Progress | None = None,
    dagster_run: str | None = None,
) -> dict[str, Any]:
    """Judge a finished probe by its evaluation on its whole validation split, made if there is none; write the record.

    Args:
        settings: Settings with paths and limits.
        run: Id of a run, a beginning of one, or "latest".
        device: Device for the evaluation, if there is none.
        progress: Receives the number of clips processed.
        dagster_run: Id of Dagster's run, if that asks; for the record.

    Returns:
        The record: `gates`, `passed`, and what they rest on.

    Raises:
        UsageError: The run is no probe.
        GateError: The evaluation of the probe was altered.
        ModelError: There is no such finished run.
        DatasetError: The features of its dataset are missing.
    """
    trained = require_finished(open_run(settings, run))
    if trained.preset != PROBE_PRESET:
        said = f"Run {trained.run_id} is of preset {trained.preset}, and only a {PROBE_PRESET} is judged as a probe"
        raise UsageError(said, do=f"judge it as a candidate: beatsight judge {for_shell(trained.run_id)}")
    present, gates = _measured(settings, trained, device, progress)
    content = {
        **present,
        "made": {**who_and_when(), "dagster_run": dagster_run},
        "environment": judging_environment(device),
    }
    return write_record(trained.folder / PROBE_RECORD.file, PROBE_RECORD, content, gates)


def require_probe(
    settings: Settings, key: str, config: TrainingConfig, probe: str | None = None
) -> tuple[str, list[dict[str, Any]]]:
    """Let a long run pass only behind a healthy probe of its recipe on the same data; one not judged is judged now.

    Args:
        settings: Settings whose limits hold.
        key: Key of the manifest.
        config: Configuration of the long run.
        probe: Id of the probe to go by; the newest that counts if None.

    Returns:
        The id of the probe that was consulted, and its gates, all passed.

    Raises:
        GateError: No probe counts, its record does not hold, or its gates failed; the message says which was consulted,
            why others do not count, and lists the gates.
        ModelError: There is no run of the id that was given.
    """
    wanted = Wanted.of(settings, key, config)
    run, others = _consulted(settings, wanted, probe)
    passed_over = f"; not by {others}" if others else ""
    record = _standing_record(settings, run)
    failed = [gate for gate in record["gates"] if not gate["passed"]]
    if failed or not record["passed"]:
        limits = ", ".join(dict.fromkeys(gate["setting"] for gate in failed if gate.get("setting")))
        raise GateError(
            f"The warm-up probe is not healthy: {'; '.join(gate['message'] for gate in failed)}",
            where=run.run_id,
            why=f"it went by the newest probe that counts{passed_over}" if probe is None else None,
            do="look at its evaluation report and at the data's health; a long run would not mend it. "
            + (f"Limits are {limits}, which loosen only with a reason. " if limits else "")
            + "--probe RUN names another probe, --override-probe REASON goes on all the same (in the UI probe and "
            "override_probe)",
        )
    logger.info("%s goes by the probe %s, which passed %s gates%s", config.preset, run.run_id, len(record["gates"]),
                passed_over)  # fmt: skip
    return run.run_id, list(record["gates"])


def _consulted(settings: Settings, wanted: Wanted, probe: str | None) -> tuple[Run, str]:
    """The probe that is gone by, and those that were passed over for it, with the reasons.

    Raises:
        GateError: No probe counts.
        ModelError: There is no run of the id that was given.
    """
    if probe is not None:
        named = open_run(settings, probe)
        if wrong := wanted.why_not(named):
            raise _none_counts(wanted, f"{named.run_id}: {wrong}")
        return named, ""
    reasons: list[str] = []
    for run in list_runs(settings):
        if run.preset != PROBE_PRESET or not is_of_manifest(run, wanted.key):
            continue
        wrong = wanted.why_not(run)
        if wrong is None:
            return run, _told(reasons)
        reasons.append(f"{run.run_id}: {wrong}")
    raise _none_counts(wanted, _told(reasons))


def _told(reasons: list[str]) -> str:
    more = [f"{len(reasons) - NAMED} more"] if len(reasons) > NAMED else []
    return "; ".join(reasons[:NAMED] + more)


def _none_counts(wanted: Wanted, reasons: str) -> GateError:
    """No probe stands behind a run: what there is, why it does not count, and which one would."""
    values = " ".join(f"--set {name}={value}" for name, value in wanted.asked_of_probe().items())
    command = f"beatsight train {for_shell(wanted.key)} --preset {PROBE_PRESET}{values and f' {values}'}"
    return GateError(
        "There is no finished warm-up probe of this recipe and this manifest's data",
        where=wanted.key,
        why=f"these do not count: {reasons}" if reasons else "no probe of this manifest was trained",
        do=f"run the probe first (job `probe`, or {command}), or go on all the same with --override-probe REASON "
        "(override_probe in the UI)",
    )


def previous_probe(settings: Settings, trained: Run) -> Run | None:
    """Return the finished probe before this one: of the same manifest's name, whatever its state then.

    One that was trained for fewer epochs than this one and than the preset has confuses more, and hides what has grown.
    """
    name = trained.key.rpartition("-")[0]
    runs = [run for run in list_runs(settings) if run.preset == PROBE_PRESET and run.status == "finished"]
    ids = [run.run_id for run in runs]
    older = runs[ids.index(trained.run_id) + 1 :] if trained.run_id in ids else []
    fewest = min(trained.config.epochs, load_preset(settings, PROBE_PRESET).epochs)
    alike = (run for run in older if run.key.rpartition("-")[0] == name and run.config.epochs >= fewest)
    return next(alike, None)


def _standing_record(settings: Settings, run: Run) -> dict[str, Any]:
    """The record of a probe, measured again; made if there is none, or only one of an earlier version.

    Raises:
        GateError: The record does not hold.
    """
    record = read_probe_record(run)
    if record is None:
        return judge_probe(settings, run.run_id)
    present, gates = _measured(settings, run, "cpu", None)
    if changed := record.changed_inputs(present) or record.changed_gates(gates):
        raise record.refusal("; ".join(changed))
    return record.content


def _measured(
    settings: Settings, trained: Run, device: str, progress: Progress | None
) -> tuple[dict[str, Any], list[Gate]]:
    """What the verdict rests on, and every gate, as they are now."""
    limits = probe_limits(settings)
    features = features_for(settings, trained, trained.key)
    folder = evaluate(settings, trained.run_id, device=device, progress=progress).folder
    found = Evaluated.read(folder)
    if wrong := not_of_candidate(trained, features, found, "evaluation", None):
        do = f"remove {folder} and evaluate again: beatsight evaluate {for_shell(trained.run_id)}"
        raise GateError("The probe's evaluation is not its own: " + "; ".join(wrong), where=folder, do=do)
    earlier = previous_probe(settings, trained)
    before, source = _pairs_of(settings, earlier) if earlier else (None, None)
    figures = found.predictions.metrics()
    gates = [
        *figure_gates(figures, limits),
        *confusion_gates(before, confusion(found.predictions).pairs, limits),
        *check_curves(trained.history, trained.config.warmup_epochs),
    ]
    notices = [DEMO_NOTICE] if settings.gates.profile == "demo" else []
    present = {
        "run_id": trained.run_id,
        "key": trained.key,
        "preset": trained.preset,
        "profile": settings.gates.profile,
        "notice": "; ".join(filter(None, [*notices, probe_notice(settings)])) or None,
        "evaluation_id": folder.name,
        "compared_with": earlier.run_id if earlier else None,
        "limits": limits.to_json(),
        "too_rare": too_rare(figures, limits),
        "digests": {
            **current_digests(trained, features),
            "predictions": found.digest,
            "history": sha256_file(trained.folder / HISTORY),
            "previous": sha256_file(source) if source else None,
        },
    }
    return present, gates


def _pairs_of(settings: Settings, run: Run) -> tuple[Pairs | None, Path | None]:
    """The watched confusions of an earlier probe and the file that tells them: its evaluation, or its own curves."""
    folder = find_evaluation(settings, run)
    if folder is not None:
        return read_evaluation(folder).pairs, folder / METRICS
    path = run.folder / CURVES
    if not path.is_file():
        return None, None
    kept, figures = read_json(path), (run.metrics or {})["metrics"]["per_class"]
    matrix = np.array(kept["confusion"], dtype=np.int64)
    struck = np.array([figures[label]["positives"] for label in kept["classes"]], dtype=np.int64)
    named = {name: watched_pair(matrix, struck, kept["classes"], one, other) for name, one, other in WATCHED_PAIRS}
    return named, path
