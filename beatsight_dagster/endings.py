"""How a program of the Dagster side ends with an error: one paragraph on standard error, and its exit code."""

import os
import sys
import traceback

from beatsight_core.compute.explained import DEBUG_VARIABLE, explained
from beatsight_core.safe_text import for_terminal, paragraph_for_terminal


def told_at_the_end(error: Exception) -> int:
    """Print an error, with its trace if that is asked for, and return the exit code that goes with it.

    Args:
        error: Error that the program ends with.
    """
    told = explained(error, os.environ.get("DAGSTER_HOME") or "the data root")
    if os.environ.get(DEBUG_VARIABLE):
        print(for_terminal("".join(traceback.format_exception(told)), lines=True), file=sys.stderr)
    print(f"Error: {paragraph_for_terminal(str(told))}", file=sys.stderr)
    return told.exit_code
