"""What a promotion would do, before anybody does it."""

from dataclasses import dataclass
from typing import Any

from beatsight_core.promotion.external.announce import check_announcement, standing_to_be
from beatsight_core.promotion.judge import Judgement, is_version_of
from beatsight_core.runs.records import open_run
from beatsight_core.runs.roles import read_pointer
from beatsight_core.settings import Settings


@dataclass(frozen=True, slots=True)
class PromotionPreview:
    """What a promotion would do.

    Attributes:
        judgement: What the run was judged by.
        version: The number that it would get, unless a killed promotion had made it.
        changes: Configurations that would change: file, diff, backup.
    """

    judgement: Judgement
    version: int
    changes: tuple[dict[str, str | None], ...]

    def to_json(self) -> dict[str, Any]:
        """All of it, JSON-safe."""
        said = self.judgement.to_json()
        return {**said, "promoted": False, "dry_run": True, "version": self.version, "changes": list(self.changes)}


def preview_promotion(settings: Settings, judgement: Judgement, *, force: str | None = None) -> PromotionPreview:
    """What promoting a judged run would write into other programs' files. Changes nothing.

    Args:
        settings: Paths.
        judgement: Of the run.
        force: The reason, if it would be promoted although a criterion fails.

    Raises:
        SettingsError: A file that settings name could not be brought in line; a promotion would stop there too.
    """
    standing = read_pointer(settings)
    if standing is not None and is_version_of(settings, standing.version, open_run(settings, judgement.run_id)):
        return PromotionPreview(judgement, standing.version, ())
    planned = standing_to_be(settings, judgement, None if judgement.passed else force)
    changes = check_announcement(settings, planned)
    return PromotionPreview(judgement, planned.version, tuple(change.to_json() for change in changes if change.diff))
