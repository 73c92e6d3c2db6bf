"""What the doctor found: sections to show, and what is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass

from beatsight_core.typed_json import JsonObject, to_json


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        level: Level: "error" if something needed is missing, "warning" if work can go on.
        what: Trouble and its place.
        do: Remedy.
    """

    level: str
    what: str
    do: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything the doctor saw.

    Attributes:
        sections: Title -> name -> value, ready to show.
        findings: Troubles and their remedies.
    """

    sections: Mapping[str, JsonObject]
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing needed is missing."""
        return not any(finding.level == "error" for finding in self.findings)

    def to_json(self) -> JsonObject:
        """Return sections and findings as JSON-safe values."""
        return {"healthy": self.healthy, "findings": [*map(to_json, self.findings)], **self.sections}
