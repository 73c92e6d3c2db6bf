"""What `beatsight dev` consists of: code servers, the web server and the daemon, all of them in one process group.

    python -m beatsight_dagster.web.tied PARENT GRACE_S beatsight_dagster.web.services PARENT PORT LOCK

PARENT is the verb's process, which nothing here outlives: this process leads a session of its own, and ends all of it
when the parent ends. LOCK is the descriptor by which the data root is held; whoever has it open holds it.

`dagster dev` does the same work, and has no place for a guard before its web server.
"""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import dagster as dg
import yaml
from dagster._cli.proxy_server_manager import ProxyServerManager
from dagster._core.remote_origin import CodeLocationOrigin, ManagedGrpcPythonEnvCodeLocationOrigin
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._utils.log import configure_loggers

from beatsight_core.compute.explained import DEBUG_VARIABLE
from beatsight_core.process_groups import wait_for_others
from beatsight_core.settings import load_settings
from beatsight_dagster.endings import told_at_the_end
from beatsight_dagster.instance import WORKSPACE_FILE, prepare_home
from beatsight_dagster.materialize import fail_runs_of_dead_drivers
from beatsight_dagster.web.lost_runs import close_lost_runs

GRACE_S = 20.0
"""From asking everything to end until killing it. Training writes a checkpoint meanwhile."""

EMPTY = "empty"
"""Folder in Dagster's home with nothing in it."""

_LOOK_S = 0.5
_OURS = "beatsight_dagster"

logger = logging.getLogger("dagster")


def main() -> int:
    """Run the services until this process is asked to end, its parent ends, or one of them ends by itself."""
    parent, port, lock = (int(text) for text in sys.argv[1:4])
    # A second signal, which the group gets when the parent has ended, must not stop the work of ending it.
    signal.signal(signal.SIGINT, _stop_once)
    signal.signal(signal.SIGTERM, _stop_once)
    os.environ["DAGSTER_IS_DEV_CLI"] = "1"
    configure_loggers()
    try:
        return _serve(port, lock)
    except Exception as error:  # noqa: BLE001 - the program ends with a paragraph
        return told_at_the_end(error)
    except KeyboardInterrupt:
        return 0
    finally:
        if os.getppid() != parent:  # nobody is left to look after what is left
            wait_for_others(os.getpid(), GRACE_S)
            os.killpg(os.getpid(), signal.SIGKILL)


def _serve(port: int, lock: int) -> int:
    home = prepare_home(load_settings())
    with contextlib.ExitStack() as stack:
        instance = stack.enter_context(dg.DagsterInstance.get())
        if lost := close_lost_runs(instance) + fail_runs_of_dead_drivers(instance):
            logger.warning("%d run(s) of an earlier session were killed, and are closed as failed", lost)
        workspace = stack.enter_context(_code_servers(instance, home))
        daemon = ["run", "--workspace", workspace, "--log-level", _daemon_log_level()]
        services = {
            "web server": _start("beatsight_dagster.web.server", [str(port), workspace], lock),
            "daemon": _start("dagster._daemon", daemon, lock),
        }
        stack.callback(_end, services.values())
        while True:
            time.sleep(_LOOK_S)
            for name, process in services.items():
                if process.poll() is not None:
                    logger.error("The %s has ended by itself, with code %s", name, process.returncode)
                    return 1


def _daemon_log_level() -> str:
    """What the daemon says on a terminal: errors, as the UI shows each tick; with `--debug` all of it."""
    return "info" if os.environ.get(DEBUG_VARIABLE) else "error"


class _Workspace(WorkspaceFileTarget):
    """The workspace file, with a folder without any modules as the one that our definitions are imported from.

    Dagster puts that folder before all others on the import path. By default it is the current one, and a `click.py`
    that lies there would be imported instead of the package.
    """

    def create_origins(self) -> Sequence[CodeLocationOrigin]:
        """Return the code locations of the file."""
        return [self._apart(origin) for origin in super().create_origins()]

    def _apart(self, origin: CodeLocationOrigin) -> CodeLocationOrigin:
        target = getattr(origin, "loadable_target_origin", None)
        if target is None or target.working_directory or (target.module_name or "").partition(".")[0] != _OURS:
            return origin
        empty = Path(self.paths[0]).with_name(EMPTY)
        return ManagedGrpcPythonEnvCodeLocationOrigin(
            target._replace(working_directory=str(empty)), origin.location_name
        )


@contextlib.contextmanager
def _code_servers(instance: dg.DagsterInstance, home: Path) -> Iterator[str]:
    """Start the code servers of the home's workspace, and give a workspace file that names their sockets."""
    (home / EMPTY).mkdir(exist_ok=True)
    target = _Workspace([str(home / WORKSPACE_FILE)])
    with (
        ProxyServerManager(instance, target, code_server_log_level="warning") as servers,
        tempfile.TemporaryDirectory(prefix="beatsight-dev-") as folder,
    ):
        file = Path(folder) / WORKSPACE_FILE
        file.write_text(yaml.safe_dump({"load_from": list(servers.get_code_server_specs())}), encoding="utf-8")
        yield str(file)


def _start(module: str, arguments: list[str], lock: int) -> "subprocess.Popen[bytes]":
    """Start a service that ends with this process."""
    tied = [sys.executable, "-m", "beatsight_dagster.web.tied", str(os.getpid()), str(GRACE_S)]
    return subprocess.Popen([*tied, module, *arguments], stdin=subprocess.DEVNULL, pass_fds=(lock,))


def _end(services: "Collection[subprocess.Popen[bytes]]") -> None:
    """Ask services to end, and kill those that do not."""
    for process in services:
        process.terminate()
    deadline = time.monotonic() + GRACE_S
    for process in services:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(deadline - time.monotonic(), 0))
        process.kill()
        process.wait()


def _stop_once(number: int, frame: object) -> None:
    """Handle a signal: the first one ends the work, later ones change nothing."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
