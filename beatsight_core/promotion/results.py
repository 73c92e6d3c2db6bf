"""Results of promotion, rollback and listing; their fields are the keys of `--json`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from beatsight_core.gates.gate import GateRow
from beatsight_core.promotion.external.edit_file import ChangedFile
from beatsight_core.promotion.external.external_files import PlaceReport
from beatsight_core.runs.roles import ChampionChange
from beatsight_core.typed_json import JsonObject, to_json


@dataclass(frozen=True, slots=True)
class PromotionResult:
    """A promotion that took place.

    Attributes:
        run_id: Id of the run.
        version: Version of the run, the champion now.
        previous: Version of the champion before; None for the first.
        passed: Verdict, true if every criterion is met.
        criteria: Gates that the run was judged by.
        record: Digest of the gate record.
        infrastructure: Gates that the files were judged by (`infrastructure.CHECKS`); empty for versions made before.
        forced: Reason for promoting although a criterion failed; None if none did.
        folder: Folder of the version.
        current: Weights of the champion under the name that the app loads.
        already: Flag of a run that was the champion before this call.
        notice: Text that every reader of the model must see.
        changes: External files that were brought in line.
        untold: Reason why updates of external files are pending, under the key of the first release.
    """

    DERIVED: ClassVar = ("promoted", "card")
    run_id: str
    version: int
    previous: int | None
    passed: bool
    criteria: tuple[GateRow, ...]
    record: str
    infrastructure: tuple[GateRow, ...]
    forced: str | None
    folder: Path
    current: Path
    already: bool
    notice: str | None
    changes: tuple[ChangedFile, ...] = ()
    untold: str | None = None

    @property
    def promoted(self) -> bool:
        """Verdict, always true, as a refusal is an error."""
        return True

    @property
    def card(self) -> Path:
        """Model card of the version."""
        return self.folder / "card.md"

    def to_json(self) -> JsonObject:
        """Return the result as JSON values."""
        return to_json(self)


@dataclass(frozen=True, slots=True)
class ShownPromotion:
    """A judgement, promotion, refusal or preview, as a terminal shows it: keys of `--json` that all of them have.

    Attributes:
        run_id: Id of the run.
        criteria: Gates that the run was judged by.
        promoted: Flag of a run that was promoted.
        version: Version of the run; None where it has none.
        failed: Names of the criteria that are not met.
        infrastructure: Gates that the files were judged by.
        notice: Text that every reader of the model must see.
        forced: Reason for promoting although a criterion failed.
        folder: Folder of the version.
        record: Gate record: its file, or its digest.
        changes: External files that were, or would be, brought in line.
        untold: Reason why updates of external files are pending, under the key of the first release.
        dry_run: Flag of a preview: nothing was changed, and all this only would be.
    """

    run_id: str
    criteria: tuple[GateRow, ...]
    promoted: bool = False
    version: int | None = None
    failed: tuple[str, ...] = ()
    infrastructure: tuple[GateRow, ...] = ()
    notice: str | None = None
    forced: str | None = None
    folder: str | None = None
    record: str | None = None
    changes: tuple[ChangedFile, ...] = ()
    untold: str | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class RollbackResult:
    """A rollback.

    Attributes:
        version: Version that is champion again.
        previous: Version that was champion before.
        run_id: Id of the run that the version came of.
        current: Weights of the champion under the name that the app loads.
        notice: Text that every reader of the version must see.
        changes: External files that were brought in line.
        dry_run: Flag of a preview: nothing was changed, and all this only would be.
        untold: Reason why updates of external files are pending, under the key of the first release.
    """

    version: int
    previous: int
    run_id: str
    current: Path
    notice: str | None
    changes: tuple[ChangedFile, ...] = ()
    dry_run: bool = False
    untold: str | None = None

    def to_json(self) -> JsonObject:
        """Return the result as JSON values."""
        return to_json(self)


@dataclass(frozen=True, slots=True)
class AppliedUpdates:
    """The updates that `models --apply` made.

    Attributes:
        version: Version of the champion.
        changes: External files that were changed.
    """

    version: int
    changes: tuple[ChangedFile, ...]

    def to_json(self) -> JsonObject:
        """Return the result as JSON values."""
        return to_json(self)


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A version in the list of models; what damaged files do not tell is None.

    Attributes:
        version: Number of the version.
        role: Role of the version.
        folder: Folder of the version.
        run_id: Id of the run that it came of.
        accuracy: Accuracy on its validation hits.
        exact_match: Exact match on them.
        macro_f1: Mean F1 on them.
        loss: Loss on them.
        promoted_at: Time of the promotion in UTC.
        promoted_by: Person who promoted it.
        profile: Profile of limits that it was judged by.
        forced: Reason for promoting although a criterion failed.
        notice: Text that every reader of the version must see.
    """

    version: int
    role: str
    folder: Path
    run_id: str | None = None
    accuracy: float | None = None
    exact_match: float | None = None
    macro_f1: float | None = None
    loss: float | None = None
    promoted_at: str | None = None
    promoted_by: str | None = None
    profile: str | None = None
    forced: str | None = None
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class ListedChallenger:
    """The run that was judged last and is no version (`runs.roles`).

    Attributes:
        run_id: Id of the run.
        passed: Verdict, true if every criterion is met.
        failed: Names of the criteria that are not.
        figures: Name of a criterion -> its figure.
        judged_at: Time of the judgement in UTC.
    """

    run_id: str
    passed: bool
    failed: tuple[str, ...]
    figures: Mapping[str, float | None]
    judged_at: str


@dataclass(frozen=True, slots=True)
class ModelList:
    """All versions, newest first, who has which role, and the history of champions.

    Attributes:
        champion: Version of the champion.
        previous: Version that a rollback goes back to.
        challenger: Run that was judged last and is no version.
        models: Versions, newest first.
        history: Changes of champion, oldest first.
        external: External files that do not say what they should.
        interrupted: Work that `models --apply` has to complete on the platform's own files, if a command was killed.
    """

    champion: int | None
    previous: int | None
    challenger: ListedChallenger | None
    models: tuple[ListedModel, ...]
    history: tuple[ChampionChange, ...]
    external: tuple[PlaceReport, ...] = ()
    interrupted: str | None = None

    def to_json(self) -> JsonObject:
        """Return the result as JSON values."""
        return to_json(self)
