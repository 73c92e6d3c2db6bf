"""The list of models: versions, which is the champion, how good each is, and who was champion when."""

import logging
from typing import Any

from beatsight_core.errors import DatasetError, ModelError
from beatsight_core.evaluation.lookup import VERSION, version_folder
from beatsight_core.evaluation.report import METRICS
from beatsight_core.evaluation.roles import CHAMPION, PREVIOUS, find_challenger
from beatsight_core.files import read_json
from beatsight_core.promotion.bundle import versions
from beatsight_core.promotion.model_notices import version_notice
from beatsight_core.promotion.pointer import Champion, read_pointer
from beatsight_core.promotion.registry import champion
from beatsight_core.promotion.results import ModelList
from beatsight_core.settings import Settings

logger = logging.getLogger("beatsight")

_SHOWN = ("accuracy", "exact_match", "macro_f1", "loss")


def list_models(settings: Settings) -> ModelList:
    """All versions, newest first: role, run, figures, when promoted, and what is to be known of each.

    Beside them the challenger, if a run stands that was judged and is no version.
    """
    try:
        now = champion(settings)
    except ModelError as error:  # a list is what one looks at then
        logger.warning("%s", error)
        now = read_pointer(settings)
    challenger = find_challenger(settings)
    return ModelList(
        champion=now.version if now else None,
        previous=now.previous if now else None,
        challenger=challenger.to_json() if challenger else None,
        models=tuple(_listed(settings, version, now) for version in reversed(versions(settings))),
        history=now.history if now else (),
    )


def _listed(settings: Settings, version: int, now: Champion | None) -> dict[str, Any]:
    """A row of the list. One whose files cannot be read stays in it, as it may be the one that is asked about."""
    folder = version_folder(settings, version)
    row = {"version": version, "role": _role(version, now), "folder": str(folder)}
    try:
        about, metrics = read_json(folder / VERSION), read_json(folder / METRICS)["metrics"]
        return row | {
            "run_id": about["run_id"],
            **{name: metrics[name] for name in _SHOWN},
            "promoted_at": about["promoted"]["at"],
            "promoted_by": about["promoted"]["user"],
            "profile": about["profile"],
            "forced": about["forced"],
            "notice": version_notice(about),
        }
    except (DatasetError, KeyError, TypeError):
        unknown = ("run_id", *_SHOWN, "promoted_at", "promoted_by", "profile", "forced")
        return row | dict.fromkeys(unknown) | {"notice": "BROKEN: files are missing or were altered"}


def _role(version: int, now: Champion | None) -> str:
    if now is None:
        return "never champion"
    if version == now.version:
        return CHAMPION
    if version == now.previous:
        return PREVIOUS
    return "former" if version in {int(entry["version"]) for entry in now.history} else "never champion"
