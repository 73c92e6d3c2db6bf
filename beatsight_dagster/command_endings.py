"""How Dagster's own commands end with an error on this project's definitions: in a paragraph, not in a long trace.

`dagster asset materialize` and `dagster job execute` load the definitions into their own process and let every error
through. What comes before that, as a DAGSTER_HOME that is no folder, is out of reach: there the trace stays.
"""

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import PurePath
from types import TracebackType

import dagster as dg

from beatsight_core.errors import BeatSightError, UsageError
from beatsight_core.safe_text import paragraph_for_terminal

COMMANDS = ("materialize", "execute", "launch")
NAMED = 10
"""Partitions that the paragraph names."""

_HOME = 'eval "$(python -m beatsight_dagster.instance)"'


def end_plainly(arguments: Sequence[str] | None = None) -> bool:
    """Let this process end with a paragraph, if it is one of Dagster's commands that carry out work; whether it is.

    Args:
        arguments: Instead of the process's own.
    """
    words = sys.argv if arguments is None else arguments
    program = PurePath(words[0]) if words else PurePath()
    is_dagster = program.stem == "dagster" or program.parts[-2:] == ("dagster", "__main__.py")
    if not is_dagster or not set(COMMANDS) & set(words[1:]):
        return False
    from beatsight_core.compute.explained import DEBUG_VARIABLE

    if os.environ.get(DEBUG_VARIABLE):
        return False
    sys.excepthook = _say
    return True


def explained_ending(error: BaseException) -> BeatSightError | None:
    """What an error of Dagster's command line means; None for one that is not Dagster's own."""
    from beatsight_core.compute.explained import DEBUG_VARIABLE

    if not type(error).__module__.startswith("dagster"):
        return None
    said = " ".join(str(error).split())
    if "partition" not in said:
        return UsageError(f"Dagster refused the command: {said}", do=f"set {DEBUG_VARIABLE}=1 to see where")
    what = "Dagster cannot use the partition that was named" if "`" in said else "Dagster was not told which partition"
    if not os.environ.get("DAGSTER_HOME"):
        return UsageError(
            what,
            why=f"DAGSTER_HOME is not set, so that a new and empty home was looked into ({said})",
            do=f"set it, and the variables that go with it: {_HOME}",
        )
    return UsageError(
        what,
        where=os.environ["DAGSTER_HOME"],
        why=f"{said.rstrip('.')}. Registered are: {_registered()}",
        do="name it by --partition MANIFEST, or MANIFEST|SOURCE_SET for dataset and feature_cache; "
        "`python -m beatsight_dagster.partitions add MANIFEST` registers a manifest",
    )


def _registered() -> str:
    from beatsight_dagster.partitions import MANIFESTS_NAME

    with contextlib.suppress(Exception), dg.DagsterInstance.get() as instance:
        keys = list(instance.get_dynamic_partitions(MANIFESTS_NAME))
        more = [f"{len(keys) - NAMED} more"] if len(keys) > NAMED else []
        return ", ".join([*keys[:NAMED], *more]) or "no manifest"
    return "unknown, as that home cannot be read"


def _say(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    told = explained_ending(error)
    if told is None:
        sys.__excepthook__(kind, error, trace)
        return
    print(f"Error: {paragraph_for_terminal(str(told))}", file=sys.stderr)
