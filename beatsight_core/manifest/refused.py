"""The lines of a manifest that were refused: how many, of how many, why, and the first of each reason."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson

from beatsight_core.files import storage_errors

_BLOCK = 1 << 20


def refused_figures(summary: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Sum up what was refused.

    Args:
        summary: Figures of the catalog: `read`, `rejected`, `rejects_by_reason`.
        path: Its `rejected.jsonl`.

    Returns:
        `read`, `rejected`, `by_reason`, `first` (reason -> line and message of its first line) and `path`.
    """
    by_reason = dict(summary["rejects_by_reason"])
    return {
        "read": summary["read"],
        "rejected": summary["rejected"],
        "by_reason": by_reason,
        "first": first_refused(path, by_reason),
        "path": str(path),
    }


def first_refused(path: Path, reasons: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Find the first refused line of each reason; `line` and `message` of each, in the order of lines.

    Args:
        path: The catalog's `rejected.jsonl`; reasons have no first line where it is gone.
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
                    found[reason] = {"line": row["line"], "message": row["message"]}
    return dict(sorted(found.items(), key=lambda entry: int(entry[1]["line"])))
