"""The `beatsight` command: finds the verb, turns errors into a paragraph and an exit code.

Exit codes: 0 done; 1 a gate or check failed, or the work did not come to its end; 2 usage or settings; 3 input data; 4
storage; 70 a fault of the platform; 75 stopped before a time limit, run it again; 130 interrupted. Every error is one
paragraph on standard error; its trace is shown by --debug.
"""

import importlib
import io
import json
import os
import sys
from pathlib import Path

import click

from beatsight_core.cli.path_type import OUTPUT_PATH
from beatsight_core.cli.pipes import let_readers_leave
from beatsight_core.safe_text import for_terminal

INTERRUPTED = 130

_VERBS = {
    "doctor": "beatsight_core.cli.verbs.doctor:doctor",
    "status": "beatsight_core.cli.verbs.status:status",
    "demo": "beatsight_core.cli.verbs.platform:demo",
    "dev": "beatsight_core.cli.verbs.platform:dev",
    "run": "beatsight_core.cli.verbs.run:run",
    "devices": "beatsight_core.cli.verbs.devices:devices",
    "taxonomy": "beatsight_core.cli.verbs.taxonomy:taxonomy",
    "manifest": "beatsight_core.cli.verbs.manifest:manifest",
    "recast": "beatsight_core.cli.verbs.recast:recast",
    "verify": "beatsight_core.cli.verbs.data:verify",
    "export": "beatsight_core.cli.verbs.data:export",
    "dataset": "beatsight_core.cli.verbs.dataset:dataset",
    "health": "beatsight_core.cli.verbs.data:health",
    "features": "beatsight_core.cli.verbs.data:features",
    "train": "beatsight_core.cli.verbs.model:train",
    "evaluate": "beatsight_core.cli.verbs.model:evaluate",
    "classify": "beatsight_core.cli.verbs.model:classify",
    "judge": "beatsight_core.cli.verbs.judgement:judge",
    "promote": "beatsight_core.cli.verbs.release:promote",
    "rollback": "beatsight_core.cli.verbs.release:rollback",
    "models": "beatsight_core.cli.verbs.release:models",
    "archive": "beatsight_core.cli.verbs.release:archive",
    "alerts": "beatsight_core.cli.verbs.alerts:alerts",
}
"""Verb -> where it lives, in the order of the runbook; loaded when it is called."""


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _VERBS:
            return None
        module, _, name = _VERBS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="beatsight")
@click.option("--data-root", type=OUTPUT_PATH, help="Folder that holds everything (default: BEATSIGHT_DATA_ROOT).")
@click.pass_context
def beatsight(ctx: click.Context, data_root: Path | None) -> None:
    """From a manifest of drum events to a promoted drum-hit classifier.

    The usual order: verify, export, health, features, train, evaluate, promote, archive. Each verb can be run again:
    it does only what is not done yet. MANIFEST is a path, the name of a file in the inbox, or a manifest key.
    """
    ctx.obj = {"data_root": data_root}


def main() -> None:
    """Run the command line; the console script of the package."""
    # For the processes that it starts: Python would look for their modules in the current folder first, and a
    # `random.py` or `click.py` that lies there would be taken for the real one.
    os.environ["PYTHONSAFEPATH"] = "1"
    # pydantic would read what every installed package says of itself, to find plugins: a tenth of a verb's start.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    let_readers_leave()
    code = _run()
    sys.exit(_flushed(code))


def _run() -> int:
    """Carry out the command line; its exit code."""
    try:
        return int(beatsight.main(standalone_mode=False) or 0)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except click.Abort:
        return INTERRUPTED
    except click.ClickException as error:
        return _refused(error)
    except Exception as error:  # noqa: BLE001 - of the code around the verbs, which end their own errors
        from beatsight_core.cli.failing import cannot_print, show_error
        from beatsight_core.compute.explained import explained

        told = cannot_print(error) if isinstance(error, OSError) else explained(error, "the command line")
        return show_error(told, as_json="--json" in sys.argv, debug="--debug" in sys.argv)


def _refused(error: click.ClickException) -> int:
    """Say what is wrong with the words that were typed; the exit code."""
    if "--json" in sys.argv:
        click.echo(json.dumps({"error": {"kind": "UsageError", "what": error.format_message()}, "exit_code": 2}))
    shown = io.StringIO()
    error.show(file=shown)
    said = shown.getvalue().rstrip("\n").replace(error.message, for_terminal(error.message))
    click.echo(for_terminal(said, lines=True), err=True)
    return error.exit_code


def _flushed(code: int) -> int:
    """The exit code once all is written that was printed: another one if that cannot be."""
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except OSError:  # a full drive behind a redirection, which the verb told where it could
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return code or 4
    return code
