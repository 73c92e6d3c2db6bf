"""The seal of a health report: a SHA-256 over all else in it, so that one edited by hand is told from a judged one.

A seal is no signature: who can run the judgement can seal. It finds what was changed by mistake or in passing.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from beatsight_core.files import json_bytes

SEAL = "seal"
"""Key of the seal in a report."""


def sealed(report: Mapping[str, Any]) -> dict[str, Any]:
    """A report as plain JSON values, with its seal; one that it had before is replaced.

    Args:
        report: JSON-safe values.

    Returns:
        What a reader of the written file gets, and `seal`.
    """
    plain: dict[str, Any] = orjson.loads(json_bytes({name: value for name, value in report.items() if name != SEAL}))
    return plain | {SEAL: seal_of(plain)}


def is_sealed(report: Any) -> bool:
    """Whether a report, as read from its file, carries the seal of exactly what it says."""
    return isinstance(report, Mapping) and SEAL in report and report[SEAL] == seal_of(report)


def seal_of(report: Mapping[str, Any]) -> str:
    """SHA-256, in hex, over the canonical JSON (sorted keys, no spaces, UTF-8) of all of a report but its seal."""
    body = {name: value for name, value in report.items() if name != SEAL}
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()
