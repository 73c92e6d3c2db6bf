"""Verbs that start Dagster: demo and dev. Dagster runs as a program of its own; nothing here imports it."""

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from beatsight_core.cli import text
from beatsight_core.cli.dev_lock import only_dev
from beatsight_core.cli.path_type import OUTPUT_PATH
from beatsight_core.cli.verb import Session, verb
from beatsight_core.errors import BeatSightError, UsageError
from beatsight_core.process_groups import signal_group, wait_for_others
from beatsight_core.settings import LAYOUT_VARIABLES, Settings, load_settings
from beatsight_core.sockets import service_environment
from beatsight_core.training.machine.interrupts import StopRequest, stop_on_signals

DEMO_FOLDER = "demo-data"
_LOOK_S = 0.2
"""Seconds between looks at whether a signal came."""
_GRACE_S = 20.0
"""Seconds that runs get to end in order, training with a checkpoint, once a verb was asked to end or has died."""
_TIED = "beatsight_dagster.web.tied"
"""Runs a module in a process that ends with this one."""


@click.option("--seed", default=7, show_default=True, help="Another seed makes other kits and performances.")
@click.option(
    "--size", type=click.Choice(["demo", "tiny"]), default="demo", show_default=True,
    help="tiny has too few hits for the gates of the graph; it is for single steps, with --corpus-only.",
)  # fmt: skip
@click.option("--corpus-only", is_flag=True, help="Make the corpus and stop there.")
@click.argument("folder", required=False, type=OUTPUT_PATH)
@verb
def demo(session: Session, folder: Path | None, seed: int, size: str, corpus_only: bool) -> int:
    """Make a synthetic corpus in FOLDER (default: demo-data, or --data-root) and take it through the whole graph."""
    from beatsight_core.demo.corpus import make_demo

    if size == "tiny" and not corpus_only:
        do = "add --corpus-only and take the steps one by one, or leave out --size"
        raise UsageError("A tiny corpus has too few hits for the gates of the whole graph", do=do)
    root = (folder or Path(session.data_root or DEMO_FOLDER)).absolute()
    # Nothing of a real layout that the shell may have exported: the demo keeps to its own folder.
    for name in LAYOUT_VARIABLES:
        os.environ.pop(name, None)
    corpus = make_demo(root, seed=seed, size=size, progress=session.progress)
    if corpus_only:
        session.show(corpus.to_json(), text.figures)
        session.data_root, session.about = root, corpus.manifest
        return 0
    settings = load_settings(root)
    run_dagster_module(settings, "beatsight_dagster.materialize", corpus.manifest)
    session.show({"corpus": corpus.to_json(), **_outcome(settings)}, _show_demo)
    session.data_root, session.next = Path(_relative(str(root))), f"{_beatsight()} dev"
    return 0


@click.option(
    "--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="Port of the web UI on 127.0.0.1."
)
@verb
def dev(session: Session, port: int) -> int:
    """Open the web UI and run the daemon, both on 127.0.0.1, with their state in the data root."""
    settings = session.settings
    if importlib.util.find_spec("dagster_webserver") is None:
        raise ModuleNotFoundError(name="dagster-webserver")
    with only_dev(settings.dagster_home, port) as lock:
        _require_free(port)
        click.echo("The UI is being started, which takes some seconds.", err=True)
        # A shell that starts this in the background makes it ignore SIGINT, and with it Dagster would ignore its end.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return _run_services(settings, port, lock)


def _run_services(settings: Settings, port: int, lock: int) -> int:
    """Run web server, daemon and code servers until a signal comes, and see all that they started to its end.

    Returns:
        The exit code: 0, or that of an error which they have told.

    Raises:
        BeatSightError: One of them ended by itself.
    """
    parent, services = str(os.getpid()), "beatsight_dagster.web.services"
    process = subprocess.Popen(
        [sys.executable, "-m", _TIED, parent, str(_GRACE_S), services, parent, str(port), str(lock)],
        env=_environment(settings),
        stdin=subprocess.DEVNULL, start_new_session=True, pass_fds=(lock,),
    )  # fmt: skip
    with stop_on_signals() as stop:
        try:
            # The whole group hears of it, as it would by Ctrl-C in a terminal: the runs that are under way, too.
            code = _waited_for(process, stop, lambda: signal_group(process.pid, signal.SIGINT), _SayOpen(port))
            if code < 0:
                signal_group(process.pid, signal.SIGTERM)
            wait_for_others(process.pid, _GRACE_S)
        finally:
            signal_group(process.pid, signal.SIGKILL)
    if stop or code > 1:
        return 0 if stop else code
    raise BeatSightError(
        "The web server or the daemon ended by itself",
        where=f"python -m {services}, exit code {code}",
        do="read the lines above; the same command starts them again",
    )


class _SayOpen:
    """Says that the UI is open, once its port answers, and then nothing more."""

    def __init__(self, port: int):
        self._port, self._said = port, False

    def __call__(self) -> None:
        if self._said:
            return
        with socket.socket() as probe:
            probe.settimeout(_LOOK_S)
            self._said = probe.connect_ex(("127.0.0.1", self._port)) == 0
        if self._said:
            click.echo(f"The UI is open on http://127.0.0.1:{self._port}; Ctrl-C ends it.", err=True)


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise UsageError(f"Port {port} is taken", why=error.strerror, do="name another by --port") from error


def run_dagster_module(settings: Settings, module: str, *arguments: str) -> None:
    """Carry out a module of the Dagster side, and end it in order when this process is asked to end.

    Raises:
        BeatSightError: The module did not finish its work.
        KeyboardInterrupt: Ctrl-C or SIGTERM came, and it has ended.
    """
    if code := dagster_module_code(settings, module, *arguments):
        raise did_not_finish(code)


def did_not_finish(code: int) -> BeatSightError:
    """Return the error of a module of the Dagster side that ended with a code, after it has told why."""
    return BeatSightError(
        "Dagster did not finish the work",
        where=f"the process that carried it out, exit code {code}",
        do="read the lines above; the same command goes on from there",
    )


def dagster_module_code(settings: Settings, module: str, *arguments: str) -> int:
    """Carry out a module of the Dagster side as `run_dagster_module` does, and return its exit code.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM came, and it has ended.
    """
    try:
        # In a session of its own, so that Ctrl-C reaches it once, from here.
        process = subprocess.Popen(
            [sys.executable, "-m", _TIED, str(os.getpid()), str(_GRACE_S), module, *arguments],
            env=_environment(settings), stdout=sys.stderr.fileno(), start_new_session=True,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise UsageError("Python cannot be started", where=sys.executable, why=str(error)) from error
    with stop_on_signals() as stop:
        code = _waited_for(process, stop, lambda: process.send_signal(signal.SIGINT))
    if stop:
        raise KeyboardInterrupt
    return code


def _waited_for(
    process: "subprocess.Popen[bytes]",
    stop: StopRequest,
    ask_to_end: Callable[[], None],
    look: Callable[[], None] | None = None,
) -> int:
    """The exit code of a process, which is asked to end in order when this one is; `look` is called meanwhile."""
    asked = False
    while (code := process.poll()) is None:
        if stop and not asked:
            ask_to_end()
            asked = True
        if look and not asked:
            look()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_LOOK_S)
    return code


def _environment(settings: Settings) -> dict[str, str]:
    """The variables for Dagster, which must not import what lies in the current folder instead of a package."""
    environment = {
        **os.environ,
        **_short_sockets(),
        "BEATSIGHT_DATA_ROOT": str(settings.data_root),
        "DAGSTER_HOME": str(settings.dagster_home),
        "PYTHONSAFEPATH": "1",
    }
    if beyond := environment.get("PYTHONPATH"):
        # Dagster takes the first folder away while it imports definitions, as that used to be the current one.
        environment["PYTHONPATH"] = f"{settings.dagster_home / 'empty'}{os.pathsep}{beyond}"
    return environment


def _short_sockets() -> dict[str, str]:
    """What code servers need where the folder for temporary files has too long a name for their sockets."""
    from beatsight_core.compute.leases import FOLDER_VARIABLE, lease_folder

    short = service_environment()
    return {**short, FOLDER_VARIABLE: str(lease_folder())} if short else {}  # leases stay those of the machine


def _outcome(settings: Settings) -> dict[str, Any]:
    """What the graph left behind, read back from the disk."""
    from beatsight_core.promotion.version.model_list import list_models

    reports = [*settings.health_dir.glob("*/report.html"), *settings.metrics_dir.glob("*/*/report.html")]
    return {
        "data_root": str(settings.data_root),
        "models": list_models(settings).to_json()["models"],
        "champion": str(settings.models_dir / "current_drum_classifier.pth"),
        "reports": sorted(map(str, reports)),
    }


def _show_demo(result: dict[str, Any]) -> None:
    corpus = result["corpus"]
    text.headline(f"The demo is done: {result['data_root']}")
    shown = ("manifest", "lines", "events", "sessions", "files", "seconds")
    text.figures({**{name: corpus[name] for name in shown}, "champion": result["champion"]})
    text.headline("Faults that were put in on purpose, and found")
    text.figures({name: corpus[name] for name in ("rejects_by_reason", "missing", "truncated", "past_end")})
    columns = ["version", "role", "run_id", "accuracy", "exact_match", "macro_f1", "notice"]
    text.table(result["models"], columns, "Models")
    text.headline("Reports to open in a browser")
    for report in result["reports"]:
        click.echo(f"  {report}")


def _beatsight() -> str:
    """The command as the caller can type it, also when the virtual environment is not active."""
    beside = Path(sys.executable).parent / "beatsight"
    return _relative(str(beside)) if beside.exists() else "beatsight"


def _relative(path: str) -> str:
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path
