"""What promotion, rollback and listing give back."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class PromotionResult:
    """A promotion that took place.

    Attributes:
        run_id: The run.
        version: Its version, the champion now.
        previous: The champion before; None for the first.
        judgement: What it was judged by.
        infrastructure: What its files were judged by (`infrastructure.CHECKS`); empty for versions made before that.
        forced: The reason, if a criterion failed.
        folder: The version's.
        current: The champion's weights under the name that the app loads.
        already: Whether it was the champion before this call.
        changes: Files of others that were brought in line: file, diff, backup.
        notice: What a person must know.
        untold: Why not all files of others are in line, if that is so.
    """

    run_id: str
    version: int
    previous: int | None
    judgement: dict[str, Any]
    infrastructure: tuple[dict[str, Any], ...]
    forced: str | None
    folder: Path
    current: Path
    already: bool
    notice: str | None
    changes: tuple[dict[str, str | None], ...] = ()
    untold: str | None = None

    def to_json(self) -> dict[str, Any]:
        """All of it, JSON-safe; `promoted` is always true, as a refusal is an error."""
        return {
            "run_id": self.run_id,
            "promoted": True,
            "version": self.version,
            "previous": self.previous,
            "passed": self.judgement["passed"],
            "criteria": self.judgement["criteria"],
            "record": self.judgement["digest"],
            "infrastructure": list(self.infrastructure),
            "forced": self.forced,
            "folder": str(self.folder),
            "card": str(self.folder / "card.md"),
            "current": str(self.current),
            "already": self.already,
            "notice": self.notice,
            "changes": list(self.changes),
            "untold": self.untold,
        }


@dataclass(frozen=True, slots=True)
class RollbackResult:
    """A rollback.

    Attributes:
        version: The champion again.
        previous: The champion before.
        run_id: What the version came of.
        current: The champion's weights under the name that the app loads.
        notice: What a person must know of the version.
        changes: Files of others that were brought in line: file, diff, backup.
        dry_run: Whether nothing was changed, and all this only would be.
        untold: Why not all files of others are in line, if that is so.
    """

    version: int
    previous: int
    run_id: str
    current: Path
    notice: str | None
    changes: tuple[dict[str, str | None], ...] = ()
    dry_run: bool = False
    untold: str | None = None

    def to_json(self) -> dict[str, Any]:
        """All of it, JSON-safe."""
        return {
            "version": self.version,
            "previous": self.previous,
            "run_id": self.run_id,
            "current": str(self.current),
            "notice": self.notice,
            "changes": list(self.changes),
            "dry_run": self.dry_run,
            "untold": self.untold,
        }


@dataclass(frozen=True, slots=True)
class AppliedUpdates:
    """What `models --apply` brought in line.

    Attributes:
        version: The champion's.
        changes: External files that were changed: file, diff, backup.
    """

    version: int
    changes: tuple[dict[str, str | None], ...]

    def to_json(self) -> dict[str, Any]:
        """All of it, JSON-safe."""
        return {"version": self.version, "changes": list(self.changes)}


@dataclass(frozen=True, slots=True)
class ModelList:
    """All versions, newest first, who has which role, and the history of champions.

    Attributes:
        champion: The champion's version.
        previous: The version that a rollback goes back to.
        challenger: The run that was judged last and is no version (`runs.roles`).
        models: A table row per version.
        history: Every change of champion, oldest first.
        external: External files that do not say what they should: file, key, state, why, diff (`external_files`).
        interrupted: What `models --apply` has to complete of the platform's own files, if a command was killed.
    """

    champion: int | None
    previous: int | None
    challenger: dict[str, Any] | None
    models: tuple[dict[str, Any], ...]
    history: tuple[dict[str, Any], ...]
    external: tuple[dict[str, Any], ...] = ()
    interrupted: str | None = None

    def to_json(self) -> dict[str, Any]:
        """All of it, JSON-safe."""
        return {
            "champion": self.champion,
            "previous": self.previous,
            "challenger": self.challenger,
            "models": list(self.models),
            "history": list(self.history),
            "external": list(self.external),
            "interrupted": self.interrupted,
        }
