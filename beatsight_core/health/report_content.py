"""What a health report says: verdict, gates, figures, and what to know beside them; and how `report.json` holds it."""

from dataclasses import dataclass

from beatsight_core.gates.corpus_limits import Profile
from beatsight_core.gates.gate import Gate
from beatsight_core.gates.record import HEALTH_REPORT
from beatsight_core.health.compare_baseline import BaselineNotice, ClassChange
from beatsight_core.health.drift import SourceDrift
from beatsight_core.health.figures.statistics import CorpusFigures
from beatsight_core.health.page.lists import ReportList
from beatsight_core.health.page.notices import Notice
from beatsight_core.typed_json import JsonObject, to_json


@dataclass(frozen=True, slots=True)
class HealthReport:
    """The health report of a manifest.

    Attributes:
        key: Key of the manifest.
        manifest: Path of its file.
        sha256: SHA-256 of that file.
        made: Time of the report, in UTC.
        profile: Name of the gates profile.
        limits: Limits of the gates.
        gates: Gates with their verdicts.
        notices: Findings that fail no gate and matter.
        baseline: Approved report that it was compared with; None where none was approved.
        changes: Hits of every class in the baseline and now.
        drift: Drift of every source set since the baseline.
        lists: Whole lists beside the report.
        statistics: Figures of the corpus.
    """

    key: str
    manifest: str
    sha256: str
    made: str
    profile: str
    limits: Profile
    gates: tuple[Gate, ...]
    notices: tuple[Notice, ...]
    baseline: BaselineNotice | None
    changes: tuple[ClassChange, ...]
    drift: tuple[SourceDrift, ...]
    lists: tuple[ReportList, ...]
    statistics: CorpusFigures

    @property
    def passed(self) -> bool:
        """Verdict: every gate passed."""
        return not self.failed

    @property
    def failed(self) -> tuple[Gate, ...]:
        """Gates that did not pass."""
        return tuple(gate for gate in self.gates if not gate.passed)

    def to_json(self) -> JsonObject:
        """Return what `report.json` holds, but for its seal."""
        return {
            "format": HEALTH_REPORT.format,
            "key": self.key,
            "manifest": self.manifest,
            "sha256": self.sha256,
            "made": self.made,
            "profile": self.profile,
            "limits": self.limits.to_json(),
            "passed": self.passed,
            "gates": [gate.to_json() for gate in self.gates],
            "notices": [to_json(notice) for notice in self.notices],
            "baseline": to_json(self.baseline) if self.baseline else None,
            "changes": [to_json(change) for change in self.changes],
            "drift": [row.to_json() for row in self.drift],
            "lists": [to_json(entry) for entry in self.lists],
            "statistics": to_json(self.statistics),
        }
