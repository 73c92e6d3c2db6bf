"""What all verbs share: the options `--data-root`, `--json`, `--debug`; how a result and an error are shown."""

import functools
import logging
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

import click
import orjson

from beatsight_core.cli.main import INTERRUPTED
from beatsight_core.compute.trouble import device_trouble
from beatsight_core.errors import BeatSightError, StorageError, TimeLimitError, UsageError
from beatsight_core.progress import Progress, progress_for_terminal
from beatsight_core.settings import Settings, load_settings


class Result(Protocol):
    """What every long function of the library returns."""

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON-safe values."""


class Session:
    """One call of a verb: its settings, its progress view, and how it prints.

    Attributes:
        data_root: As given on the command line.
        as_json: Whether standard output gets one JSON object instead of text.
        settings: Resolved when first asked for, so that a wrong file is an error like any other.
        progress: A live view in a terminal, log lines elsewhere.
        after_interrupt: What is to be done after Ctrl-C, where it is not the same command again.
    """

    def __init__(self, data_root: str | None, *, as_json: bool):
        self.data_root = data_root
        self.as_json = as_json
        self.progress: Progress = progress_for_terminal()
        self.after_interrupt: str | None = None

    @functools.cached_property
    def settings(self) -> Settings:
        """The settings of the data root."""
        return load_settings(self.data_root)

    def show(self, result: dict[str, Any], text: Callable[[dict[str, Any]], None]) -> None:
        """Print a result: as one JSON object, or by `text`."""
        if self.as_json:
            click.echo(_json(result))
        else:
            text(result)


def verb(function: Callable[..., int | None]) -> click.Command:
    """Make a click command of a function `(session, **options) -> exit code or None`."""

    @click.pass_context
    def run(ctx: click.Context, /, data_root: str | None, as_json: bool, debug: bool, **options: Any) -> NoReturn:
        _log_to_stderr(debug)
        session = Session(data_root or (ctx.obj or {}).get("data_root"), as_json=as_json)
        sys.exit(_guarded(function, session, debug, options))

    command = click.command(name=function.__name__, help=function.__doc__)(run)
    command.params += [
        click.Option(["--data-root"], type=click.Path(), help="Folder that holds everything."),
        click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON object on standard output."),
        click.Option(["--debug"], is_flag=True, help="Show tracebacks and more log lines."),
    ]
    return command


def _guarded(function: Callable[..., int | None], session: Session, debug: bool, options: dict[str, Any]) -> int:
    try:
        return function(session, **options) or 0
    except BeatSightError as error:
        return _fail(error, session, debug)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("beatsight"):
            raise
        missing = UsageError(f"The package {error.name} is not installed", do="pip install -e '.[all]'")
        return _fail(missing, session, debug)
    except OSError as error:
        return _fail(StorageError.from_os_error(error, error.filename or session.settings.data_root), session, debug)
    except KeyboardInterrupt:
        afresh = next((f" without --{name}" for name in ("fresh", "overwrite") if options.get(name)), "")
        do = session.after_interrupt or f"run the same command{afresh} to go on"
        click.echo(f"Interrupted. Nothing is lost: {do}.", err=True)
        return INTERRUPTED
    except Exception as error:
        trouble = device_trouble(error)
        if trouble is None:
            raise
        trouble.__cause__ = error  # for --debug
        return _fail(trouble, session, debug)


def _fail(error: BeatSightError, session: Session, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    if session.as_json:
        said = {"kind": type(error).__name__, "what": error.what, "where": error.where, "why": error.why}
        click.echo(_json({"error": {**said, "do": error.do}, "exit_code": error.exit_code}))
    kind, colour = ("Stopped", "yellow") if isinstance(error, TimeLimitError) else ("Error", "red")
    click.echo(f"{click.style(kind, fg=colour, bold=True)}: {error}", err=True)
    return error.exit_code


def _json(value: dict[str, Any]) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY, default=str).decode()


def _log_to_stderr(debug: bool) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("beatsight")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.DEBUG if debug else logging.INFO)
    logger.propagate = False
