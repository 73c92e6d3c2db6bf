"""Where one manifest stands, and the command that takes it further: the one definition of both.

The terminal (`beatsight status`, and the last line of every verb) and the web page show what `status_of` returns.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from beatsight_core.manifest.inbox.entries import inbox_file
from beatsight_core.runs.records import Run, list_runs
from beatsight_core.safe_text import for_shell
from beatsight_core.settings import Settings
from beatsight_core.status import data_stages as data
from beatsight_core.status import model_stages as model
from beatsight_core.status.manifest_facts import ManifestFacts, looked_at
from beatsight_core.status.stage import ManifestStatus, Stage

ALL_DONE = "beatsight models"
"""What to type once nothing is left to do."""

_STAGES: dict[str, tuple[Callable[[ManifestFacts], Stage], str]] = {
    data.MANIFEST: (data.manifest_stage, "manifest check {}"),
    data.AUDIO: (data.audio_stage, "export {}"),
    data.EXPORT: (data.export_stage, "export {}"),
    data.HEALTH: (data.health_stage, "health {}"),
    data.FEATURES: (data.features_stage, "features {}"),
    model.PROBE: (model.probe_stage, "train {} --preset warmup"),
    model.BASELINE: (model.baseline_stage, "train {} --preset baseline"),
    model.LONG_RUN: (model.long_run_stage, "train {} --preset long_run"),
    model.EVALUATION: (model.evaluation_stage, "evaluate {}"),
    model.PROMOTION: (model.promotion_stage, "judge {}"),
    model.ARCHIVE: (model.archive_stage, "archive {}"),
}
"""Name -> what looks at the stage, and the command that makes its files again where they cannot be read."""

_BEFORE_CLIPS = (data.AUDIO, data.EXPORT)
_OF_A_RUN = (model.EVALUATION, model.PROMOTION, model.ARCHIVE)


def status_of(
    settings: Settings, key: str, *, file: Path | None = None, runs: Sequence[Run] | None = None
) -> ManifestStatus:
    """Return where a manifest stands. Only the disk is read; nothing is written.

    Args:
        settings: Settings of the data root.
        key: Key of the manifest.
        file: File of the manifest in the inbox, if the caller knows it; looked for by default.
        runs: All runs of the data root, the one worked on last first, if the caller has them.
    """
    found = file or inbox_file(settings, key)
    known = ManifestFacts(settings, key, found, tuple(list_runs(settings) if runs is None else runs))
    stages = _stages(known)
    here = _here(stages, known)
    return ManifestStatus(
        name=key,
        key=key,
        file=str(found) if found else None,
        stages=tuple(stages.values()),
        here=here.name if here else None,
        next=(here.next if here and here.next else ALL_DONE),
        first=here.first if here else None,
    )


def unread_status(file: Path, stage: Stage) -> ManifestStatus:
    """Return where a manifest stands whose key is not known, because nobody has read it.

    Args:
        file: File of the manifest.
        stage: Stage that it is at, the first one.
    """
    later = tuple(Stage(name, "not yet", "") for name in _STAGES if name != data.MANIFEST)
    command = stage.next or f"beatsight manifest check {for_shell(str(file))}"
    return ManifestStatus(file.name, None, str(file), (stage, *later), data.MANIFEST, command, stage.first)


def _stages(known: ManifestFacts) -> dict[str, Stage]:
    """All stages; those that cannot have begun without a catalog, or without a dataset, are not looked at."""
    stages: dict[str, Stage] = {}
    for name, (look, again) in _STAGES.items():
        if name != data.MANIFEST and not (known.index_files or (known.catalog and name in _BEFORE_CLIPS)):
            stages[name] = Stage(name, "not yet", "")
            continue
        about = known.candidate.run_id if name in _OF_A_RUN and known.candidate else known.key
        stages[name] = looked_at(name, look, known, f"beatsight {again.format(for_shell(about))}")
    return stages


def _here(stages: dict[str, Stage], known: ManifestFacts) -> Stage | None:
    """The first stage that is not done, of those that are needed; None if all is done."""
    released = stages[model.PROMOTION].state == "done"
    needed = [*list(stages)[: list(stages).index(model.BASELINE)]]
    # The baseline and the long run are two ways to a candidate; a probe that was promoted needs neither.
    if stages[model.LONG_RUN].state != "not yet":
        needed.append(model.LONG_RUN)
    elif not released or stages[model.BASELINE].state != "not yet":
        needed.append(model.BASELINE)
    needed += [model.EVALUATION, model.PROMOTION, model.ARCHIVE]
    return next((stages[name] for name in needed if stages[name].state != "done" and stages[name].next), None)
