"""How many lines of a manifest may be refused: one gate for `verify`, `manifest check`, health and the UI."""

from collections.abc import Mapping
from typing import Any

from beatsight_core.gates.gate import Gate, at_most
from beatsight_core.pages.formats import shown

NAME = "lines refused"


def reject_gate(refused: Mapping[str, Any], limit: float) -> Gate:
    """Hold the share of refused lines against its limit.

    Args:
        refused: As `manifest.refused.refused_figures` gives it; `path` is None where the list is not kept.
        limit: The greatest share.
    """
    read, rejected = refused["read"], refused["rejected"]
    told = "; ".join(_reason(reason, count, refused["first"].get(reason)) for reason, count in _by_count(refused))
    kept = f"each stands in {refused['path']}" if refused["path"] else "`beatsight manifest check` keeps a list of all"
    return at_most(
        NAME, "rejects", rejected / read if read else 0.0, limit, format="share", setting="gates.max_reject_rate",
        found=f"{shown(rejected, 'count')} of {shown(read, 'count')} lines were refused{told and f': {told}'}",
        do=f"mend these lines, or the program that writes them; {kept}",
    )  # fmt: skip


def _by_count(refused: Mapping[str, Any]) -> list[tuple[str, int]]:
    return sorted(refused["by_reason"].items(), key=lambda entry: (-entry[1], entry[0]))


def _reason(reason: str, count: int, first: Mapping[str, Any] | None) -> str:
    """A reason with its count and what its first line said, which names the field."""
    said = f" (first in line {shown(first['line'], 'count')}: {first['message']})" if first else ""
    return f"{reason} {shown(count, 'count')}{said}"
