"""The `beatsight` command: finds the verb, turns errors into a paragraph and an exit code.

Exit codes: 0 done; 1 a gate or check failed; 2 usage or settings; 3 input data; 4 storage; 75 stopped before a time
limit, run it again; 130 interrupted.
"""

import importlib
import json
import sys

import click

INTERRUPTED = 130

_VERBS = {
    "doctor": "beatsight_core.cli.doctor:doctor",
    "demo": "beatsight_core.cli.platform:demo",
    "dev": "beatsight_core.cli.platform:dev",
    "devices": "beatsight_core.cli.devices:devices",
    "manifest": "beatsight_core.cli.manifest:manifest",
    "recast": "beatsight_core.cli.recast:recast",
    "verify": "beatsight_core.cli.data:verify",
    "export": "beatsight_core.cli.data:export",
    "dataset": "beatsight_core.cli.dataset:dataset",
    "health": "beatsight_core.cli.data:health",
    "features": "beatsight_core.cli.data:features",
    "train": "beatsight_core.cli.model:train",
    "evaluate": "beatsight_core.cli.model:evaluate",
    "classify": "beatsight_core.cli.model:classify",
    "judge": "beatsight_core.cli.judgement:judge",
    "promote": "beatsight_core.cli.release:promote",
    "rollback": "beatsight_core.cli.release:rollback",
    "models": "beatsight_core.cli.release:models",
    "archive": "beatsight_core.cli.release:archive",
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
@click.option("--data-root", type=click.Path(), help="Folder that holds everything (default: BEATSIGHT_DATA_ROOT).")
@click.pass_context
def beatsight(ctx: click.Context, data_root: str | None) -> None:
    """From a manifest of drum events to a promoted drum-hit classifier.

    The usual order: verify, export, health, features, train, evaluate, promote, archive. Each verb can be run again:
    it does only what is not done yet. MANIFEST is a path, the name of a file in the inbox, or a manifest key.
    """
    ctx.obj = {"data_root": data_root}


def main() -> None:
    """Run the command line; the console script of the package."""
    try:
        sys.exit(beatsight.main(standalone_mode=False))
    except click.Abort:
        sys.exit(INTERRUPTED)
    except click.ClickException as error:
        if "--json" in sys.argv:
            click.echo(json.dumps({"error": {"kind": "UsageError", "what": error.format_message()}, "exit_code": 2}))
        error.show()
        sys.exit(error.exit_code)
