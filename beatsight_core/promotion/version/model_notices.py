"""What is said of a model that did not simply pass: in records, listings and results."""

from collections.abc import Mapping
from typing import Any


def joined_notices(*notices: str | None) -> str | None:
    """Those that there are, as one; None without any."""
    return "; ".join(filter(None, notices)) or None


def version_notice(about: Mapping[str, Any]) -> str | None:
    """What every listing says of a version that did not pass production's criteria."""
    forced = f"PROMOTED BY FORCE: {about['forced']}" if about["forced"] else None
    return joined_notices(about["notice"], forced)
