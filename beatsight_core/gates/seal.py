"""The seal of a health report or gate record: a SHA-256 over all else in it; one edited by hand is told by it.

A seal is no signature: who can run the judgement can seal. It finds what was changed by mistake or in passing.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from beatsight_core.files import json_bytes

SEAL = "seal"
"""Key of the seal in a health report."""


def sealed(report: Mapping[str, Any], key: str = SEAL) -> dict[str, Any]:
    """A report as plain JSON values, with its seal; one that it had before is replaced.

    Args:
        report: JSON-safe values.
        key: Under which the seal stands.

    Returns:
        What a reader of the written file gets, and the seal.
    """
    plain: dict[str, Any] = orjson.loads(json_bytes({name: value for name, value in report.items() if name != key}))
    return plain | {key: seal_of(plain, key)}


def is_sealed(report: Any, key: str = SEAL) -> bool:
    """Whether a report, as read from its file, carries the seal of exactly what it says."""
    return isinstance(report, Mapping) and key in report and report[key] == seal_of(report, key)


def seal_of(report: Mapping[str, Any], key: str = SEAL) -> str:
    """SHA-256, in hex, over the canonical JSON (sorted keys, no spaces, UTF-8) of all of a report but its seal."""
    body = {name: value for name, value in report.items() if name != key}
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()
