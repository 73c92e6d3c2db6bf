"""The web server: Dagster's own application behind the guard, on 127.0.0.1. Whatever serves the UI comes from here.

    python -m beatsight_dagster.web.server PORT WORKSPACE_FILE

Dagster's own command has no place for middleware, so its parts are put together here as it does.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterable

import dagster as dg
import uvicorn
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._utils.log import configure_loggers
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.cli import (
    DEFAULT_DB_STATEMENT_TIMEOUT,
    DEFAULT_POOL_MAX_OVERFLOW,
    DEFAULT_POOL_RECYCLE,
    WEBSERVER_LOGGER_NAME,
)
from dagster_webserver.version import __version__

from beatsight_core.compute.explained import DEBUG_VARIABLE
from beatsight_core.settings import Settings, load_settings
from beatsight_dagster.web.guard import Guard
from beatsight_dagster.web.reports import Reports

HOST = "127.0.0.1"

_POLL_MS = 2000
"""How often the UI asks for new data of assets."""
_GOODBYE_S = 3
"""How long open connections may keep the server from ending."""


def guarded_application(
    process: WorkspaceProcessContext, allowed: Iterable[str], load: Callable[[], Settings] = load_settings
) -> Guard:
    """Return Dagster's web application with the reports beside it, both behind the guard.

    Args:
        process: Dagster's instance and workspace.
        allowed: Names beside those of this machine that it is called by.
        load: Function that returns the settings as they are now.
    """
    dagster = create_app_from_workspace_process_context(process, live_data_poll_rate=_POLL_MS)
    return Guard(Reports(dagster, load), allowed)


def main() -> None:
    """Serve the UI of the configured data root until a signal comes."""
    port, workspace = int(sys.argv[1]), sys.argv[2]
    configure_loggers(log_level="INFO" if os.environ.get(DEBUG_VARIABLE) else "WARNING")
    with dg.DagsterInstance.get() as instance:
        instance.optimize_for_webserver(DEFAULT_DB_STATEMENT_TIMEOUT, DEFAULT_POOL_RECYCLE, DEFAULT_POOL_MAX_OVERFLOW)
        with WorkspaceProcessContext(instance, WorkspaceFileTarget([workspace]), version=__version__) as process:
            application = guarded_application(process, load_settings().web.hosts)
            logging.getLogger(WEBSERVER_LOGGER_NAME).info(f"Serving the UI on http://{HOST}:{port}")
            uvicorn.run(
                application,
                host=HOST, port=port, log_level="warning", timeout_graceful_shutdown=_GOODBYE_S,
            )  # fmt: skip


if __name__ == "__main__":
    main()
