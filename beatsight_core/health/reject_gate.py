"""How many lines of a manifest may be refused: one gate for `verify`, `manifest check`, health and the UI."""

from beatsight_core.gates.gate import Gate, at_most
from beatsight_core.manifest.refused import FirstRefused, RefusedLines
from beatsight_core.pages.formats import shown

NAME = "lines refused"


def reject_gate(refused: RefusedLines, limit: float) -> Gate:
    """Hold the share of refused lines against its limit.

    Args:
        refused: Lines that were refused.
        limit: Greatest share.
    """
    read, rejected = refused.read, refused.rejected
    told = "; ".join(_reason(reason, count, refused.first.get(reason)) for reason, count in _by_count(refused))
    kept = f"each stands in {refused.path}" if refused.path else "`beatsight manifest check` keeps a list of all"
    return Gate(
        NAME, rejected / read if read else 0.0, at_most(limit),
        group="rejects", format="share", setting="gates.max_reject_rate",
        found=f"{shown(rejected, 'count')} of {shown(read, 'count')} lines were refused{told and f': {told}'}",
        do=f"mend these lines, or the program that writes them; {kept}",
    )  # fmt: skip


def _by_count(refused: RefusedLines) -> list[tuple[str, int]]:
    return sorted(refused.by_reason.items(), key=lambda entry: (-entry[1], entry[0]))


def _reason(reason: str, count: int, first: FirstRefused | None) -> str:
    """Return a reason with its count and what its first line said, which names the field."""
    said = f" (first in line {shown(first.line, 'count')}: {first.message})" if first else ""
    return f"{reason} {shown(count, 'count')}{said}"
