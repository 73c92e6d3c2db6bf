"""The line that every verb ends with: the command to type next, as `beatsight status` knows it.

It goes to standard error, so that what a verb prints stays what it found; `--json` leaves it out, as `beatsight status
--json` has it.
"""

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from beatsight_core.errors import BeatSightError
from beatsight_core.safe_text import for_shell, for_terminal

if TYPE_CHECKING:
    from beatsight_core.cli.verb import Session

OVERVIEW = "beatsight status"
"""What to type after a verb that is about no manifest."""


def next_line(session: "Session", command: str) -> str:
    """Return the line that names a command, with the data root if that was given on the command line."""
    root = f" --data-root {for_shell(str(session.data_root))}" if session.data_root is not None else ""
    return f"{click.style('Next:', bold=True)} {for_terminal(command + root)}"


def say_next(session: "Session", options: Mapping[str, object]) -> None:
    """Say on standard error what to type next, unless the verb has said so or gives JSON.

    Args:
        session: Call of the verb, whose work is done.
        options: Options and arguments of the verb; `manifest` or `run` says what it was about.
    """
    if session.as_json or not session.ends_with_next:
        return
    first, command = None, session.next or OVERVIEW
    if session.next is None:
        with contextlib.suppress(BeatSightError, OSError):  # what is not there any more, as after `manifest forget`
            first, command = _of_manifest(session, options)
    with contextlib.suppress(OSError):
        if first:
            click.echo(f"First: {for_terminal(first)}.", err=True)
        click.echo(next_line(session, command), err=True)


def _of_manifest(session: "Session", options: Mapping[str, object]) -> tuple[str | None, str]:
    """What to do first, and the next command for what the verb was about."""
    about, run = session.about or options.get("manifest"), options.get("run")
    if about is None and run is None:
        return None, OVERVIEW
    from beatsight_core.runs.records import open_run
    from beatsight_core.status.status_list import status_list_of

    ref = str(about) if about is not None else open_run(session.settings, str(run)).key
    (status,) = status_list_of(session.settings, ref).manifests
    return status.first, status.next
