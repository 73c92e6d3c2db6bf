"""What a promotion would do, before anybody does it."""

from dataclasses import dataclass

from beatsight_core.promotion.external.announce import check_announcement, standing_to_be
from beatsight_core.promotion.external.edit_file import ChangedFile
from beatsight_core.promotion.judge import Judgement, is_version_of
from beatsight_core.runs.records import open_run
from beatsight_core.runs.roles import read_pointer
from beatsight_core.settings import Settings
from beatsight_core.typed_json import JsonObject, to_json


@dataclass(frozen=True, slots=True)
class PromotionPreview:
    """A promotion that is not made.

    Attributes:
        judgement: Judgement of the run.
        version: Number that it would get, unless a killed promotion had made it.
        changes: Configurations that would change.
    """

    judgement: Judgement
    version: int
    changes: tuple[ChangedFile, ...]

    def to_json(self) -> JsonObject:
        """Return the judgement, and what would change."""
        changes = [*map(to_json, self.changes)]
        return {
            **self.judgement.to_json(), "promoted": False, "dry_run": True, "version": self.version, "changes": changes,
        }  # fmt: skip


def preview_promotion(settings: Settings, judgement: Judgement, *, force: str | None = None) -> PromotionPreview:
    """Return what promoting a judged run would write into other programs' files. Changes nothing.

    Args:
        settings: Settings with paths.
        judgement: Judgement of the run.
        force: Reason, if it would be promoted although a criterion fails.

    Raises:
        SettingsError: A file that settings name could not be brought in line; a promotion would stop there too.
    """
    standing = read_pointer(settings)
    if standing is not None and is_version_of(settings, standing.version, open_run(settings, judgement.run_id)):
        return PromotionPreview(judgement, standing.version, ())
    planned = standing_to_be(settings, judgement, None if judgement.passed else force)
    changes = check_announcement(settings, planned)
    return PromotionPreview(judgement, planned.version, tuple(change.told for change in changes if change.diff))
