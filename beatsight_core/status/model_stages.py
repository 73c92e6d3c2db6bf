"""The stages of the model: probe, baseline, long run, evaluation, promotion, archive."""

from beatsight_core.evaluation.finding import METRICS, digests_of, find_evaluation
from beatsight_core.files import is_locked, read_json
from beatsight_core.gates.record import PROBE_RECORD, PROMOTION_RECORD, SealedRecord
from beatsight_core.gates.release_limits import probe_limits
from beatsight_core.pages.formats import shown
from beatsight_core.promotion.archive.archive_folders import ABOUT, archive_folders
from beatsight_core.promotion.first_inputs import first_inputs
from beatsight_core.promotion.gate_records import read_probe_record, read_promotion_record
from beatsight_core.promotion.probe_recipe import PROBE_PRESET, Wanted
from beatsight_core.runs.presets import load_preset
from beatsight_core.runs.records import FAILURE, Run, command_to_finish
from beatsight_core.runs.roles import read_pointer, versions_by_origin
from beatsight_core.safe_text import for_shell
from beatsight_core.status.manifest_facts import ManifestFacts, failed_gates
from beatsight_core.status.stage import Stage

PROBE, BASELINE, LONG_RUN = "warm-up probe", "baseline", "long run"
EVALUATION, PROMOTION, ARCHIVE = "evaluation", "promotion", "archive"

_PAGE = "report.html"


def probe_stage(known: ManifestFacts) -> Stage:
    """Return whether a warm-up probe stands behind a long run: finished, judged, healthy, and of these data."""
    wanted = Wanted.of(known.settings, known.key, load_preset(known.settings, "long_run"))
    probes = [run for run in known.runs if run.preset == PROBE_PRESET]
    counted = next((run for run in probes if wanted.why_not(run) is None), None)
    if counted is None or (probes[0] is not counted and _is_at_work(known, probes[0])):
        return _training_stage(known, PROBE, PROBE_PRESET, wanted)
    return _judged_probe(known, counted)


def baseline_stage(known: ManifestFacts) -> Stage:
    """Return how far the newest baseline of the manifest has come."""
    return _training_stage(known, BASELINE, "baseline")


def long_run_stage(known: ManifestFacts) -> Stage:
    """Return how far the newest long run of the manifest has come."""
    return _training_stage(known, LONG_RUN, "long_run")


def evaluation_stage(known: ManifestFacts) -> Stage:
    """Return whether the candidate was evaluated as it is now."""
    run = known.candidate
    if run is None:
        return Stage(EVALUATION, "not yet", "no run is finished", next=None)
    command = known.command("evaluate", for_shell(run.run_id))
    folder = find_evaluation(known.settings, run)
    if folder is None:
        return Stage(EVALUATION, "not yet", f"{run.run_id} was not evaluated yet", next=command)
    content = read_json(folder / METRICS)
    reports = (str(folder / _PAGE),)
    if not _digests(known, run).items() <= content["digests"].items():
        why = f"that of {run.run_id} is of another checkpoint, dataset or feature spec"
        return Stage(EVALUATION, "out of date", why, reports=reports, next=command)
    figures = content["metrics"]
    accuracy, exact = (shown(figures[name], "decimal") for name in ("accuracy", "exact_match"))
    said = f"{run.run_id}: accuracy {accuracy}, exact match {exact}"
    return Stage(EVALUATION, "done", said, reports=reports)


def promotion_stage(known: ManifestFacts) -> Stage:
    """Return whether the candidate was judged, by what it rests on now, and whether a version came of it."""
    run = known.candidate
    if run is None:
        return Stage(PROMOTION, "not yet", "there is no candidate")
    name = for_shell(run.run_id)
    promote, judge = known.command("promote", name), known.command("judge", name)
    record = read_promotion_record(run)
    if record is None:
        return Stage(PROMOTION, "not yet", f"{run.run_id} was not judged yet", next=promote)
    version = _version_of(known, run, record)
    if version is not None:
        standing = read_pointer(known.settings)
        role = "the champion" if standing and standing.version == version else "which is not the champion now"
        return Stage(PROMOTION, "done", f"{run.run_id} is version {version}, {role}")
    first = first_inputs(known.settings, run, _digests(known, run))
    if changed := record.only(first).changed_inputs(first):
        return Stage(PROMOTION, "out of date", "the candidate was judged before", tuple(changed), next=judge)
    rows = record.content[PROMOTION_RECORD.gates]
    if failed := failed_gates(rows):
        said = f"{run.run_id} misses {len(failed)} of {len(rows)} criteria"
        longer = known.command("train", known.typed, "--preset", "long_run")
        look = known.command("evaluate", name)
        return Stage(PROMOTION, "failed", said, failed, next=look if run.preset == "long_run" else longer)
    return Stage(PROMOTION, "under way", f"{run.run_id} meets every criterion, and is not promoted yet", next=promote)


def archive_stage(known: ManifestFacts) -> Stage:
    """Return whether the candidate was archived."""
    run = known.candidate
    if run is None:
        return Stage(ARCHIVE, "not yet", "there is nothing to archive")
    mine = [path for path in archive_folders(known.settings) if read_json(path / ABOUT).get("run_id") == run.run_id]
    if not mine:
        command = known.command("archive", for_shell(run.run_id))
        return Stage(ARCHIVE, "not yet", f"{run.run_id} was not archived yet", next=command)
    return Stage(ARCHIVE, "done", f"{run.run_id} is in {mine[-1]}")


def _judged_probe(known: ManifestFacts, run: Run) -> Stage:
    """The stage of a probe that counts: its verdict, if it was given and still holds."""
    judge = known.command("judge", "--probe", for_shell(run.run_id))
    record = read_probe_record(run)
    if record is None:
        return Stage(PROBE, "under way", f"{run.run_id} is finished, and not judged yet", next=judge)
    evaluation = find_evaluation(known.settings, run)
    reports = (str(evaluation / _PAGE),) if evaluation else ()
    present = {
        "profile": known.settings.gates.profile,
        "limits": probe_limits(known.settings).to_json(),
        "digests": {**_digests(known, run)},
    }
    if changed := record.only(present).changed_inputs(present):
        return Stage(PROBE, "out of date", f"{run.run_id} was judged before", tuple(changed), reports, next=judge)
    rows = record.content[PROBE_RECORD.gates]
    if failed := failed_gates(rows):
        said = f"{run.run_id}: {len(failed)} of {len(rows)} gates failed"
        first = "look at its report and at the data's health; a long run would not mend it"
        look = known.command("evaluate", for_shell(run.run_id))
        return Stage(PROBE, "failed", said, failed, reports, next=look, first=first)
    return Stage(PROBE, "done", f"{run.run_id}: all {len(rows)} gates passed", reports=reports)


def _training_stage(known: ManifestFacts, name: str, preset: str, wanted: Wanted | None = None) -> Stage:
    """How far the newest run of a preset has come.

    Args:
        known: The manifest.
        name: Name of the stage.
        preset: Preset of the run.
        wanted: Demands on a finished run, where it has to meet any to count.
    """
    command = known.command("train", known.typed, "--preset", preset)
    run = next((run for run in known.runs if run.preset == preset), None)
    if run is None:
        return Stage(name, "not yet", "none was trained yet", next=command)
    so_far = f"epoch {len(run.history)} of {run.config.epochs}"
    if _is_at_work(known, run):
        return Stage(name, "under way", f"{run.run_id} is at {so_far}", next=known.command("status", known.typed))
    if run.status == "failed":
        why = read_json(run.folder / FAILURE)["error"]
        return Stage(name, "failed", f"{run.run_id} gave up after {so_far}", (str(why),), next=command_to_finish(run))
    if run.status != "finished":
        return Stage(name, "under way", f"{run.run_id} stopped after {so_far}", next=command_to_finish(run))
    wrong = wanted.why_not(run) if wanted else _other_data(known, run)
    if wrong:
        return Stage(name, "out of date", f"{run.run_id} does not count: {wrong}", next=command)
    accuracy = (run.metrics or {})["metrics"]["accuracy"]
    epochs = len(run.history)
    said = f"{run.run_id}: accuracy {shown(accuracy, 'decimal')} after {epochs} epoch{'s' if epochs != 1 else ''}"
    return Stage(name, "done", said)


def _other_data(known: ManifestFacts, run: Run) -> str | None:
    """Why a finished run is not of the data and features that there are now; None if it is."""
    if run.dataset_digest != known.dataset:
        return "it learned from another state of the dataset"
    return "it learned from other features" if run.spec.digest != known.spec.digest else None


def _is_at_work(known: ManifestFacts, run: Run) -> bool:
    """Return whether a process trains a run now."""
    return run.status != "finished" and is_locked(known.settings.run_root / ".locks" / run.folder.name)


def _digests(known: ManifestFacts, run: Run) -> dict[str, str]:
    return digests_of(run, known.dataset, known.spec)


def _version_of(known: ManifestFacts, run: Run, record: SealedRecord) -> int | None:
    """The version that came of a run with the checkpoint that was judged; None if there is none."""
    checkpoint = str(record.content["digests"].get("checkpoint"))
    origins = versions_by_origin(known.settings)
    return origins.get((run.run_id, checkpoint)) or origins.get((run.trained_as, checkpoint))
