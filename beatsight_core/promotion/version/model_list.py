"""The list of models: versions, which is the champion, how good each is, and who was champion when."""

from beatsight_core.errors import BeatSightError, DatasetError
from beatsight_core.evaluation.evaluate import METRICS
from beatsight_core.files import read_json
from beatsight_core.promotion.external.external_files import places_to_tell
from beatsight_core.promotion.results import ListedChallenger, ListedModel, ModelList
from beatsight_core.promotion.version.model_notices import version_notice
from beatsight_core.promotion.version.pointer import Champion, is_aligned, read_pointer
from beatsight_core.promotion.version.write_version import versions
from beatsight_core.runs.lookup import VERSION, version_folder
from beatsight_core.runs.roles import CHAMPION, PREVIOUS, find_challenger
from beatsight_core.settings import Settings
from beatsight_core.typed_json import from_json

_SHOWN = ("accuracy", "exact_match", "macro_f1", "loss")


def list_models(settings: Settings) -> ModelList:
    """Return all versions, newest first, with role, run, figures, and what is to be known of each. Writes nothing.

    Beside them the challenger, if a run stands that was judged and is no version, and those external files that do not
    say what they should.

    Raises:
        ModelError: The pointer to the champion is broken.
    """
    now = read_pointer(settings)
    challenger = find_challenger(settings)
    return ModelList(
        champion=now.version if now else None,
        previous=now.previous if now else None,
        challenger=from_json(ListedChallenger, challenger.to_json()) if challenger else None,
        models=tuple(_listed(settings, version, now) for version in reversed(versions(settings))),
        history=now.history if now else (),
        external=tuple(each.report for each in places_to_tell(settings)),
        interrupted=_interrupted(settings, now) if now else None,
    )


def _interrupted(settings: Settings, now: Champion) -> str | None:
    try:
        aligned = is_aligned(settings, now)
    except BeatSightError as error:  # the champion's version is damaged
        return str(error)
    names = "the files that applications load are not those of the champion, as a command was interrupted"
    return None if aligned else f"{names}: beatsight models --apply completes it"


def _listed(settings: Settings, version: int, now: Champion | None) -> ListedModel:
    """Return a row of the list. One with damaged files stays in it, as it may be the one that is asked about."""
    folder, role = version_folder(settings, version), _role(version, now)
    try:
        about, metrics = read_json(folder / VERSION), read_json(folder / METRICS)["metrics"]
        return ListedModel(
            version, role, folder, about["run_id"],
            **{name: metrics[name] for name in _SHOWN},
            promoted_at=about["promoted"]["at"],
            promoted_by=about["promoted"]["user"],
            profile=about["profile"],
            forced=about["forced"],
            notice=version_notice(about),
        )  # fmt: skip
    except (DatasetError, KeyError, TypeError):
        return ListedModel(version, role, folder, notice="BROKEN: files are missing or were altered")


def _role(version: int, now: Champion | None) -> str:
    if now is None:
        return "never champion"
    if version == now.version:
        return CHAMPION
    if version == now.previous:
        return PREVIOUS
    return "former" if version in {int(entry["version"]) for entry in now.history} else "never champion"
