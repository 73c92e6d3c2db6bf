"""The lines of a manifest that were refused: how many, of how many, why, and the first of each reason."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from beatsight_core.files import storage_errors
from beatsight_core.taxonomy import TAXONOMIES, suggestion

_BLOCK = 1 << 20
_LACKING = re.compile(r'the (\w+) taxonomy lacks label (?=")')
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')


@dataclass(frozen=True, slots=True)
class FirstRefused:
    """The first line that was refused for a reason.

    Attributes:
        line: Number of the line, from 1.
        message: Sentence that says what is wrong with it.
    """

    line: int
    message: str


@dataclass(frozen=True, slots=True)
class RefusedLines:
    """How many lines of a manifest were refused, and why.

    Attributes:
        read: Lines that are not blank.
        rejected: Lines that were refused.
        by_reason: Reason -> lines.
        first: Reason -> its first line.
        path: File that lists all of them; None where they are not kept.
    """

    read: int
    rejected: int
    by_reason: Mapping[str, int]
    first: Mapping[str, FirstRefused]
    path: str | None


def refused_figures(summary: Mapping[str, Any], path: Path) -> RefusedLines:
    """Sum up what was refused.

    Args:
        summary: Figures of the catalog: `read`, `rejected`, `rejects_by_reason`.
        path: File `rejected.jsonl` of the catalog.
    """
    by_reason = dict(summary["rejects_by_reason"])
    first = {reason: FirstRefused(**row) for reason, row in first_refused(path, by_reason).items()}
    return RefusedLines(summary["read"], summary["rejected"], by_reason, first, str(path))


def first_refused(path: Path, reasons: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Find the first refused line of each reason, in the order of lines.

    Args:
        path: File `rejected.jsonl` of the catalog; reasons have no first line where it is gone.
        reasons: The reasons to look for.
    """
    wanted = {reason: b'"reason":' + orjson.dumps(reason) for reason in reasons}
    found: dict[str, dict[str, Any]] = {}
    if not wanted or not path.exists():
        return found
    with storage_errors(path), path.open("rb") as handle:
        rest = b""
        while len(found) < len(wanted) and (block := handle.read(_BLOCK)):
            text = rest + block
            whole, rest = text[: text.rfind(b"\n") + 1], text[text.rfind(b"\n") + 1 :]
            for reason in wanted.keys() - found.keys():
                if (place := whole.find(wanted[reason])) >= 0:
                    row = orjson.loads(whole[whole.rfind(b"\n", 0, place) + 1 : whole.index(b"\n", place)])
                    found[reason] = {"line": row["line"], "message": with_suggestions(row["message"])}
    return dict(sorted(found.items(), key=lambda entry: int(entry[1]["line"])))


def with_suggestions(message: str) -> str:
    """Add to each label that a taxonomy lacks what may be meant; other messages stay as they are."""
    lacking = _LACKING.search(message)
    if lacking is None or (taxonomy := TAXONOMIES.get(lacking[1])) is None:
        return message

    def told(quoted: re.Match[str]) -> str:
        meant = suggestion(json.loads(quoted[0]), taxonomy)
        return f"{quoted[0]} ({meant})" if meant else quoted[0]

    return message[: lacking.end()] + _QUOTED.sub(told, message[lacking.end() :])
