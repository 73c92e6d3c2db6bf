"""A candidate's report against the approved baseline: no class may shrink by more than its limit, no gate newly fail.

The baseline is a health report that a person judged good, kept as `baseline.json` in the folder of health reports.
`approve.py` puts it there; one that was copied there by hand is compared with, too, if it is whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from beatsight_core.errors import DatasetError
from beatsight_core.gates.corpus_limits import Profile
from beatsight_core.gates.gate import Gate, at_most
from beatsight_core.gates.record import BASELINE_FILE, HEALTH_REPORT, SealedRecord
from beatsight_core.health.figures.hit_figures import HitCounts
from beatsight_core.pages.formats import shown
from beatsight_core.typed_json import from_json

_APPROVE = "approve a report that you judge good (beatsight health approve MANIFEST), or remove the file"


@dataclass(frozen=True, slots=True)
class Approval:
    """Who made which report the baseline, and why.

    Attributes:
        key: Key of the report's manifest.
        at: Time in UTC.
        by: Name of the account.
        host: Name of the machine.
        why: Reason as that person put it; empty where all gates passed and nothing was said.
        failed: Gates that had failed.
        report_seal: Seal of the report that was approved.
    """

    key: str
    at: str
    by: str
    host: str
    why: str
    failed: tuple[str, ...]
    report_seal: str


@dataclass(frozen=True, slots=True)
class BaselineNotice:
    """What a report says of the baseline that it was compared with.

    Attributes:
        key: Key of the baseline's manifest.
        seal: Seal of the baseline.
        sha256: SHA-256 of its manifest.
        made: Time of its report.
        blessing: Approval; None for a report that was copied by hand. Reports on disk call it so.
    """

    key: str
    seal: str
    sha256: str | None = None
    made: str | None = None
    blessing: Approval | None = None


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """A gate of a baseline, as far as it is compared.

    Attributes:
        name: Name of the gate.
        passed: Verdict.
    """

    name: str
    passed: bool


@dataclass(frozen=True, slots=True)
class BaselineFigures:
    """The figures of a baseline that are compared. Reports of all versions have these.

    Attributes:
        hits: Hits by source set and class.
    """

    hits: HitCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline(BaselineNotice):
    """An approved report, as far as others are held against it.

    Attributes:
        gates: Gates with their verdicts.
        statistics: Figures that are compared.
    """

    gates: tuple[GateVerdict, ...]
    statistics: BaselineFigures

    def named(self) -> BaselineNotice:
        """Return what a report says of it."""
        return BaselineNotice(self.key, self.seal, self.sha256, self.made, self.blessing)


@dataclass(frozen=True, slots=True)
class ClassChange:
    """Hits of a class then and now.

    Attributes:
        label: Name of the class.
        before: Hits of the baseline.
        after: Hits of the candidate.
        change: Change as a share of what was; None for a class that is new.
    """

    label: str
    before: int
    after: int
    change: float | None


def read_baseline(folder: Path) -> Baseline | None:
    """Return the approved report of a folder; None where none was approved.

    Raises:
        DatasetError: The file is there and is not a health report of this format, or was edited.
    """
    path = folder / BASELINE_FILE
    if not path.exists():
        return None
    return from_json(Baseline, read_report(path, "health baseline", _APPROVE).content, path)


def read_report(path: Path, what: str, do: str) -> SealedRecord:
    """Return a health report of this format, as it was sealed.

    Args:
        path: File of the report.
        what: Name of the report in messages.
        do: Remedy where it cannot be used.

    Raises:
        DatasetError: The report is missing, of another format, or was edited since.
    """
    record = SealedRecord.read(path, HEALTH_REPORT, subject=what, do=do, error=DatasetError)
    if record is None:
        raise DatasetError(f"There is no {what}", where=path, do=do)
    return record


def class_changes(now: HitCounts, then: HitCounts) -> tuple[ClassChange, ...]:
    """Return the hits of every class then and now, in class order, then of classes that are gone.

    Args:
        now: Hits of the candidate.
        then: Hits of the baseline.
    """
    after = {label: counts.hits for label, counts in now.classes.items()}
    before = {label: counts.hits for label, counts in then.classes.items()}
    labels = [*after, *(label for label in before if label not in after)]
    return tuple(_change(label, before.get(label, 0), after.get(label, 0)) for label in labels)


def baseline_gates(
    changes: Sequence[ClassChange], gates: Sequence[Gate], baseline: Baseline, limits: Profile
) -> list[Gate]:
    """Hold the classes and the gates against those of a baseline.

    Args:
        changes: Hits of every class then and now.
        gates: Gates of the candidate, but for those against the baseline.
        baseline: Approved report.
        limits: Limits of the candidate's gates.
    """
    drops = {one.label: -one.change for one in changes if one.change is not None and one.change < 0}
    worst = max(drops, key=drops.__getitem__, default="")
    fell = [label for label, drop in drops.items() if drop > limits.max_class_drop]
    failed_before = {gate.name for gate in baseline.gates if not gate.passed}
    new = [gate.name for gate in gates if not gate.passed and gate.name not in failed_before]
    return [
        Gate(
            "largest drop of a class since the baseline", drops.get(worst, 0.0), at_most(limits.max_class_drop),
            group="baseline", format="share", setting="gates.max_class_drop",
            found=_drop_text(worst, drops, fell) if drops else "No class lost hits",
            do="find out which sessions left the manifest, or approve a new baseline "
            "(beatsight health approve MANIFEST)",
        ),
        Gate(
            "gates that newly fail", len(new), at_most(0), group="baseline",
            found=f"Passed before: {', '.join(new)}" if new else "No gate fails that passed in the baseline",
            do="mend those, or approve a new baseline (beatsight health approve MANIFEST)",
        ),
    ]  # fmt: skip


def _drop_text(worst: str, drops: Mapping[str, float], fell: Sequence[str]) -> str:
    """Return the class that lost most, with its figure, before the others beyond the limit."""
    others = [f"{label} {shown(drops[label], 'share')}" for label in fell if label != worst]
    more = f"; beyond the limit are also {', '.join(others)}" if others else ""
    return f"{worst} lost {shown(drops[worst], 'share')}{more}"


def _change(label: str, before: int, after: int) -> ClassChange:
    return ClassChange(label, before, after, (after - before) / before if before else None)
