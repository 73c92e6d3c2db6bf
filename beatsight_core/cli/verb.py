"""What all verbs share: the options `--data-root`, `--json`, `--debug`; how a result and an error are shown."""

import functools
import io
import logging
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, Protocol, TypeVar

import click

from beatsight_core.cli.failing import as_json_text, cannot_print, show_error
from beatsight_core.cli.main import INTERRUPTED
from beatsight_core.cli.next_command import say_next
from beatsight_core.cli.path_type import OUTPUT_PATH
from beatsight_core.compute.explained import DEBUG_VARIABLE, explained, may_be_told
from beatsight_core.progress import Progress, progress_for_terminal
from beatsight_core.runs.presets import load_checked_settings
from beatsight_core.safe_text import values_for_terminal
from beatsight_core.settings import Settings
from beatsight_core.typed_json import JsonObject, JsonValue, from_json

Shown = TypeVar("Shown")

_TEXTS_OF_LINES = frozenset({"diff"})
"""Keys of results whose texts have several lines."""


class Result(Protocol):
    """What every long function of the library returns."""

    def to_json(self) -> JsonObject:
        """Return the result as JSON-safe values."""


class Session:
    """One call of a verb: its settings, its progress view, and how it prints.

    Attributes:
        data_root: Data root as given on the command line.
        as_json: Flag that puts one JSON object on standard output in place of text.
        settings: Settings, resolved when first asked for, so that a wrong file is an error like any other.
        progress: View of the progress, live in a terminal, log lines elsewhere.
        after_interrupt: Words on what is to be done after Ctrl-C, where it is not the same command again.
        about: Manifest that the verb was about, as `beatsight status` takes it; None if it was about none.
        next: Command to type next, where it does not follow from where the manifest stands.
        ends_with_next: Flag of a verb whose end names the next command.
    """

    def __init__(self, data_root: Path | None, *, as_json: bool):
        self.data_root = data_root
        self.as_json = as_json
        self.progress: Progress = progress_for_terminal()
        self.after_interrupt: str | None = None
        self.about: str | None = None
        self.next: str | None = None
        self.ends_with_next = True

    @functools.cached_property
    def settings(self) -> Settings:
        """The settings of the data root, those of all presets of training included.

        A value that only a run of hours later would read is refused by the first verb.
        """
        return load_checked_settings(self.data_root)

    @property
    def place(self) -> str:
        """The data root as far as it is known, for messages; also while its settings are wrong."""
        known = self.__dict__.get("settings")
        return str(known.data_root if known else self.data_root or os.environ.get("BEATSIGHT_DATA_ROOT") or "data")

    def show_as(self, kind: type[Shown], result: Mapping[str, JsonValue], text: Callable[[Shown], None]) -> None:
        """Print a result: as one JSON object, or by `text`, which gets a dataclass of what it shows.

        Args:
            kind: Class whose fields are keys of the result.
            result: Result as JSON values.
            text: Function that prints it.
        """
        self.show(result, lambda safe: text(from_json(kind, safe)))

    def show(self, result: Mapping[str, JsonValue], text: Callable[[dict[str, Any]], None]) -> None:
        """Print a result: as one JSON object, or by `text`."""
        try:
            if self.as_json:
                click.echo(as_json_text(result))
            else:
                text(values_for_terminal(dict(result), lines=_TEXTS_OF_LINES))
            sys.stdout.flush()
        except BrokenPipeError:  # the reader has left, which is no fault (`pipes`)
            return
        except OSError as error:
            raise cannot_print(error) from error


def verb(function: Callable[..., int | None]) -> click.Command:
    """Make a click command of a function `(session, **options) -> exit code or None`."""

    @click.pass_context
    def run(ctx: click.Context, /, data_root: Path | None, as_json: bool, debug: bool, **options: Any) -> NoReturn:
        _show_all_characters()
        _log_to_stderr(debug)
        if debug:
            os.environ[DEBUG_VARIABLE] = "1"
        session = Session(data_root or (ctx.obj or {}).get("data_root"), as_json=as_json)
        sys.exit(_guarded(function, session, debug, options))

    command = click.command(name=function.__name__, help=function.__doc__)(run)
    command.params += [
        click.Option(["--data-root"], type=OUTPUT_PATH, help="Folder that holds everything."),
        click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON object on standard output."),
        click.Option(["--debug"], is_flag=True, help="Show tracebacks and more log lines."),
    ]
    return command


def _guarded(function: Callable[..., int | None], session: Session, debug: bool, options: dict[str, Any]) -> int:
    try:
        code = function(session, **options) or 0
        say_next(session, options)
        return code
    except KeyboardInterrupt:
        afresh = next((f" without --{name}" for name in ("fresh", "overwrite") if options.get(name)), "")
        do = session.after_interrupt or f"run the same command{afresh} to go on"
        click.echo(f"Interrupted. Nothing is lost: {do}.", err=True)
        return INTERRUPTED
    except (click.ClickException, click.Abort, click.exceptions.Exit):
        raise
    except BaseException as error:  # every verb ends in a paragraph and with a documented exit code
        if not may_be_told(error):
            raise
        return show_error(explained(error, session.place), as_json=session.as_json, debug=debug)


def _log_to_stderr(debug: bool) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("beatsight")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.DEBUG if debug else logging.INFO)
    logger.propagate = False


def _show_all_characters() -> None:
    """Let no character that a terminal's encoding lacks end a verb: it is shown as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
