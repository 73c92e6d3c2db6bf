"""Variables of the environment: those that nothing reads, most likely misspelt; and the folder for temporary files."""

import difflib
import os
from collections.abc import Collection
from pathlib import Path

from beatsight_core.compute.devices import DEVICES_VARIABLE
from beatsight_core.compute.explained import DEBUG_VARIABLE
from beatsight_core.compute.leases import FOLDER_VARIABLE, LEASED_VARIABLE
from beatsight_core.doctor.findings import Finding
from beatsight_core.errors import StorageError
from beatsight_core.settings import LAYOUT_VARIABLES
from beatsight_core.sockets import KEPT, temporary_folder
from beatsight_core.typed_json import JsonObject

OURS = "BEATSIGHT_"
KNOWN = (
    *LAYOUT_VARIABLES, "BEATSIGHT_WEB_HOSTS", DEVICES_VARIABLE, FOLDER_VARIABLE, LEASED_VARIABLE, DEBUG_VARIABLE, KEPT,
)  # fmt: skip
"""Every variable of this name that something reads."""

OF_OTHERS = ("WANDB_MODE", "WANDB_RUN_GROUP")
"""Variables of other programs that settings read too."""

_ALIKE = 0.85
"""Likeness from which on another name is taken for a misspelt one."""


def examine_environment(findings: list[Finding], secret: Collection[str] = ()) -> JsonObject:
    """Look for variables that are misspelt, and whether temporary files have a folder.

    Args:
        findings: List that receives what is wrong.
        secret: Names of variables that are read, and whose values must not be shown.

    Returns:
        The section `environment`: the variables that are set and read, and the folder for temporary files.
    """
    read = [*KNOWN, *OF_OTHERS]
    for name in sorted(set(os.environ) - set(read) - set(secret)):
        close = difflib.get_close_matches(name, read, 1, 0.0 if name.startswith(OURS) else _ALIKE)
        if close:
            do = f"Set {close[0]} if that is meant, and unset {name}"
            findings.append(Finding("warning", f"Nothing reads the variable {name}", do))
    return {**{name: os.environ[name] for name in read if name in os.environ}, "temporary files": _temporary(findings)}


def _temporary(findings: list[Finding]) -> str:
    named = os.environ.get("TMPDIR")
    try:
        used = temporary_folder()
    except StorageError as error:
        findings.append(
            Finding("error", f"{error.what} ({error.where}): {error.why}", "Set TMPDIR to one that has room")
        )
        return "none"
    if named and Path(named).absolute() != used.absolute():
        what = f"TMPDIR names {named}, which is not there or takes no files, so temporary files go to {used}"
        findings.append(Finding("warning", what, "Make that folder, or set TMPDIR to another one"))
    return str(used)
