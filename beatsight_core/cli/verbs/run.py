"""The verb run: a manifest through the graph, from a terminal and without a daemon."""

import importlib.util

import click

from beatsight_core.cli.manifest_argument import manifest_argument
from beatsight_core.cli.verb import Session, verb
from beatsight_core.cli.verbs.platform import dagster_module_code, did_not_finish
from beatsight_core.cli.verbs.status import show_status
from beatsight_core.errors import UsageError

_MODULE = "beatsight_dagster.materialize"
_TOLD = range(1, 5)
"""Exit codes of a module that has told what is wrong: a gate, settings, the data, the drive."""

_STAGES = {
    "export": ("export", None),
    "health": ("health", None),
    "probe": ("evaluation", "warmup"),
    "baseline": ("evaluation", "baseline"),
    "long_run": ("evaluation", "long_run"),
    "release": ("archive", None),
}
"""Value of --until -> the last stage of the graph, and the preset that it trains; None where --preset says."""


@click.option(
    "--until", type=click.Choice(list(_STAGES)), default="probe", show_default=True,
    help="Go so far: the clips, the health report, a trained and evaluated model, or its promotion and archive.",
)  # fmt: skip
@click.option(
    "--preset", "presets", multiple=True, type=click.Choice(["warmup", "baseline", "long_run"]),
    help="With --until release: the model that is trained and promoted; default: warmup. May be repeated.",
)  # fmt: skip
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Override a value of the preset.")
@click.option("--fresh", is_flag=True, help="Train again even where a finished run is there.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@manifest_argument()
@verb
def run(
    session: Session,
    manifest: str,
    *,
    until: str,
    presets: tuple[str, ...],
    assignments: tuple[str, ...],
    fresh: bool,
    device: str,
) -> int:
    """Take MANIFEST through the graph, as the jobs of the web UI do, in as few runs of Dagster as possible.

    What is done already is not done again. It stops where a gate fails, and ends by saying where the manifest stands.
    """
    from beatsight_core.manifest.identity import resolve_manifest
    from beatsight_core.status.status_list import status_list_of

    last, preset = _STAGES[until]
    if presets and until != "release":
        raise UsageError(f"--preset does not go with --until {until}", do="name the model by --until alone")
    settings = session.settings
    path = str(resolve_manifest(settings, manifest))
    if importlib.util.find_spec("dagster") is None:
        raise ModuleNotFoundError(name="dagster")
    words = ["--until", last, "--device", device, *(["--fresh"] if fresh else [])]
    words += [word for name in (presets or ([preset] if preset else [])) for word in ("--preset", name)]
    words += [word for text in assignments for word in ("--set", text)]
    code = dagster_module_code(settings, _MODULE, *words, "--", path)
    if code and code not in _TOLD:
        raise did_not_finish(code)
    show_status(session, status_list_of(settings, path), most=None)
    return code
