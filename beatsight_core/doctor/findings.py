"""What the doctor found: sections to show, and what is wrong."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        level: "error" if something needed is missing, "warning" if work can go on.
        what: What is wrong, where.
        do: How to mend it.
    """

    level: str
    what: str
    do: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything the doctor saw.

    Attributes:
        sections: Title -> name -> value, ready to show.
        findings: What is wrong and how to mend it.
    """

    sections: dict[str, dict[str, Any]]
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing needed is missing."""
        return not any(finding.level == "error" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return sections and findings as JSON-safe values."""
        findings = [{"level": item.level, "what": item.what, "do": item.do} for item in self.findings]
        return {"healthy": self.healthy, "findings": findings, **self.sections}
