"""The verdict of `verify`: whether an export is worth its hours, as gates over what was found without one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from beatsight_core.audio.inventory_figures import LostFile
from beatsight_core.audio.roots import RootStatus
from beatsight_core.dataset.verify_export import VerifyResult
from beatsight_core.gates.corpus_limits import profile_of
from beatsight_core.gates.gate import Gate, at_least, at_most
from beatsight_core.health.reject_gate import reject_gate
from beatsight_core.manifest.refused import RefusedLines
from beatsight_core.pages.formats import shown
from beatsight_core.settings import GateSettings
from beatsight_core.typed_json import JsonObject

GROUP = "audio"
NAMED = 3
"""Lost files that a gate names."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What was verified, and its gates.

    Attributes:
        result: Figures of what an export would hold and lack.
        gates: Gates with their verdicts.
    """

    result: VerifyResult
    gates: tuple[Gate, ...]

    @property
    def passed(self) -> bool:
        """Whether every gate passed."""
        return all(gate.passed for gate in self.gates)

    def to_json(self) -> JsonObject:
        """Return the result, its gates and the verdict."""
        return {**self.result.to_json(), "passed": self.passed, "gates": [gate.to_json() for gate in self.gates]}


def judge_verification(result: VerifyResult, settings: GateSettings) -> Verification:
    """Hold what `verify_manifest` found against the limits that a health report would use.

    Args:
        result: Figures of what was found.
        settings: Profile, and what is set over it.
    """
    refused = RefusedLines(
        result.read, result.rejected, result.rejects_by_reason, result.first_refused, result.refused_path
    )
    gone = _unmounted(result)
    gates = [reject_gate(refused, profile_of(settings).max_reject_rate), _mounted_gate(gone)]
    if looked_for := [name for name in result.seconds_by_source if name not in gone]:
        gates.append(_empty_gate(result, looked_for))
    return Verification(result, tuple(gates))


def _unmounted(result: VerifyResult) -> dict[str, str]:
    """Return source sets of which no root is there -> where they were looked for."""
    roots: dict[str, list[RootStatus]] = {}
    for root in result.roots:
        roots.setdefault(root.source_set, []).append(root)
    gone = {name: mine for name, mine in roots.items() if not any(root.mounted for root in mine)}
    return {name: ", ".join(str(root.root) for root in mine) for name, mine in gone.items()}


def _mounted_gate(looked: Mapping[str, str]) -> Gate:
    """Return the gate that every source set has a root that is there."""
    told = "; ".join(f"{name} (looked for in {places})" for name, places in looked.items())
    return Gate(
        "source sets without a mounted root", len(looked), at_most(0), group=GROUP, setting=_roots_setting(looked),
        found=f"No root is mounted of {told}" if looked else "Each source set has a mounted root",
        do="connect and mount the drive, or name the folders that hold the audio",
    )  # fmt: skip


def _empty_gate(result: VerifyResult, looked_for: Sequence[str]) -> Gate:
    """Return the gate that no source set with a root loses all that it has."""
    empty = [name for name in looked_for if not result.seconds_by_source[name]]
    lost = [file for file in result.lost_files if file.source_set in empty]
    named = "; ".join(f"{file.audio_path}: {file.status}{_why(file)}" for file in lost[:NAMED])
    more = f"; and {shown(len(lost) - NAMED, 'count')} more listed" if len(lost) > NAMED else ""
    return Gate(
        "source sets with a clip", len(looked_for) - len(empty), at_least(len(looked_for)), group=GROUP,
        setting=_roots_setting(empty),
        found=f"Not one clip could be made of {', '.join(empty)} ({named}{more})" if empty else "Each has some",
        do="put the audio where the manifest says it lies, or name the folders that hold it",
    )  # fmt: skip


def _why(file: LostFile) -> str:
    return f", {file.why}" if file.why else ""


def _roots_setting(names: Iterable[str]) -> str:
    """Return the setting that names the folders of the first of some source sets."""
    return next((f"sources.{name}.roots" for name in names), "")
