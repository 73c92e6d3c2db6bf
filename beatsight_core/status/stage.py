"""A stage of the runbook as it stands for one manifest, and the manifest as a whole."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from beatsight_core.typed_json import JsonObject, to_json

State: TypeAlias = Literal["done", "failed", "under way", "not yet", "out of date"]


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of the runbook.

    Attributes:
        name: Name of the stage.
        state: State of the stage.
        says: Sentence on what is there, or what is wrong.
        findings: Further sentences: each failed gate, each reason.
        reports: Files to look at.
        next: Command that takes the stage further; None if it is done.
        first: Work of a person before that command; None if there is none.
    """

    name: str
    state: State
    says: str
    findings: tuple[str, ...] = ()
    reports: tuple[str, ...] = ()
    next: str | None = None
    first: str | None = None


@dataclass(frozen=True, slots=True)
class ManifestStatus:
    """Where a manifest stands.

    Attributes:
        name: Key of the manifest, or the name of its file as long as it was not read.
        key: Key of the manifest; None as long as it is not known.
        file: File of the manifest in the inbox; None if it is not there.
        stages: Stages in the order of the runbook.
        here: Name of the stage that comes next; None if all is done.
        next: Command to type next.
        first: Work of a person before that command; None if there is none.
    """

    name: str
    key: str | None
    file: str | None
    stages: tuple[Stage, ...]
    here: str | None
    next: str
    first: str | None = None


@dataclass(frozen=True, slots=True)
class RefusedFile:
    """A file of the inbox that cannot be taken up.

    Attributes:
        file: Path of the file.
        why: Reason, and what to do.
    """

    file: str
    why: str


@dataclass(frozen=True, slots=True)
class StatusList:
    """Where all manifests of a data root stand.

    Attributes:
        data_root: Folder of the data root.
        inbox: Folder that manifests are put into.
        manifests: Manifests, those of the inbox first.
        refused: Files of the inbox that cannot be taken up.
        earlier: Keys of earlier states of manifests that lie in the inbox as something newer.
        next: Command to type next where there is no manifest yet; None if there are some.
    """

    data_root: str
    inbox: str
    manifests: tuple[ManifestStatus, ...]
    refused: tuple[RefusedFile, ...] = ()
    earlier: tuple[str, ...] = ()
    next: str | None = None

    def to_json(self) -> JsonObject:
        """Return all of it as `--json` prints it."""
        return to_json(self)
