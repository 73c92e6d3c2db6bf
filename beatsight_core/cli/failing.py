"""How a verb that fails says so: one paragraph on standard error, one JSON object if it was asked for, an exit code."""

import contextlib
import json
import traceback
from collections.abc import Mapping

import click
import orjson

from beatsight_core.errors import BeatSightError, StorageError, TimeLimitError
from beatsight_core.safe_text import for_terminal, json_for_terminal, paragraph_for_terminal
from beatsight_core.typed_json import JsonValue


def show_error(error: BeatSightError, *, as_json: bool, debug: bool) -> int:
    """Show an error, and return the exit code that goes with it.

    Args:
        error: Error to show on standard error.
        as_json: Flag that puts the error on standard output as well, as one JSON object.
        debug: Flag that shows the trace before the error.
    """
    if debug:
        click.echo(for_terminal("".join(traceback.format_exception(error)), lines=True), err=True)
    if as_json:
        said = {"kind": type(error).__name__, "what": error.what, "where": error.where, "why": error.why}
        with contextlib.suppress(OSError):  # it may be standard output that is the trouble
            click.echo(as_json_text({"error": {**said, "do": error.do}, "exit_code": error.exit_code}))
    kind, colour = ("Stopped", "yellow") if isinstance(error, TimeLimitError) else ("Error", "red")
    with contextlib.suppress(OSError):  # where nobody can be told, the exit code still tells
        click.echo(f"{click.style(kind, fg=colour, bold=True)}: {paragraph_for_terminal(str(error))}", err=True)
    return error.exit_code


def cannot_print(error: OSError) -> StorageError:
    """Return the error of a standard output that takes no more; what the verb was to do is done."""
    why, do = error.strerror or str(error), "send the output elsewhere, and run the same command again"
    return StorageError("The result cannot be printed", where="standard output", why=why, do=do)


def as_json_text(value: Mapping[str, JsonValue]) -> str:
    """Return a result or an error as JSON for people and programs to read."""
    try:
        text = orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY, default=str).decode()
        return json_for_terminal(text)
    except TypeError:  # a name that is not UTF-8, or a number beyond 64 bits, which only this writes
        return json.dumps(value, indent=2, default=lambda one: one.item() if hasattr(one, "item") else str(one))
