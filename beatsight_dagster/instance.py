"""The home of Dagster's state: `dagster/` in the data root, with its configuration, made once.

`python -m beatsight_dagster.instance` makes it and prints the variables that Dagster's own commands need:

    eval "$(python -m beatsight_dagster.instance)"
    dagster asset materialize --select audio_inventory --partition KEY

`python -m beatsight_dagster.instance --flagless` writes those that say where the definitions are into the virtual
environment itself; then DAGSTER_HOME, and BEATSIGHT_DATA_ROOT unless it is ./data, are all that is left to set.
"""

import argparse
import os
import re
import shlex
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from beatsight_core.errors import SettingsError, UsageError
from beatsight_core.files import exclusive_lock, write_text
from beatsight_core.settings import Settings, load_settings
from beatsight_core.settings.paths import pattern_problem
from beatsight_dagster.endings import told_at_the_end
from beatsight_dagster.home_check import check_home

CONFIG_FILE = "dagster.yaml"
WORKSPACE_FILE = "workspace.yaml"

FLAGLESS = {
    f"DAGSTER_CLI_{command}_MODULE_NAME": "beatsight_dagster.definitions"
    for command in ("ASSET_LIST", "ASSET_MATERIALIZE", "JOB_EXECUTE")
}
"""These commands of Dagster take `-m` and neither read `pyproject.toml` nor `workspace.yaml`; this is their `-m`. Not
DAGSTER_MODULE_NAME: all commands read that, and those that are given `-w` refuse it."""

CONFIG = """\
# The state of Dagster: SQLite and local files under DAGSTER_HOME, nothing sent anywhere.
# `python -m beatsight_dagster.instance` copies this file there once; the copy may be edited.

telemetry:
  enabled: false

nux:
  enabled: false

# Progress lines of the library (logger "beatsight") appear in the run's log.
python_logs:
  managed_python_loggers: [beatsight]
  python_log_level: INFO

concurrency:
  runs:
    max_concurrent_runs: 4
    # Exports use every core and every drive: one at a time.
    tag_concurrency_limits:
      - key: beatsight/stage
        value: export
        limit: 1

# A run whose process was lost (crash, reboot) is started once more, from the step that failed.
# A step that failed by itself is not: its data or its gate would fail again.
run_retries:
  enabled: true
  max_retries: 1
  retry_on_asset_or_op_failure: false

run_monitoring:
  enabled: true
  start_timeout_seconds: 300

retention:
  sensor:
    purge_after_days:
      skipped: 2
      failure: 30
      success: -1
"""
"""The same text as the project's `dagster.yaml`, which an installed package does not carry."""

_STORAGE_NAMED = re.compile(r"^(storage|run_storage|event_log_storage|schedule_storage)\s*:", re.MULTILINE)

LOCATION = "beatsight"
"""What the UI calls the definitions."""

WORKSPACE = f"""\
load_from:
  - python_module:
      module_name: beatsight_dagster.definitions
      location_name: {LOCATION}
"""
"""The same text as the project's `workspace.yaml`: it gives the definitions their name in the UI."""


SIGNS = "%?#*"
"""A home that has one of these in its path needs `home_storage`."""

STORAGE = """
# The path of this folder holds signs that mean something in an address; this storage takes them as they are.
storage:
  custom:
    module: beatsight_dagster.home_storage
    class: HomeStorage
    config:
      base_dir:
        env: DAGSTER_HOME
"""
"""What is added to the configuration of such a home."""


def prepare_home(settings: Settings) -> Path:
    """Make Dagster's home ready: its folder, its configuration, its databases. Quick if it is there.

    Two processes that both make fresh databases would collide, so they take turns.

    Returns:
        The absolute path that `DAGSTER_HOME` must be set to.

    Raises:
        SettingsError: Dagster could not read its configuration there.
        StorageError: The folder cannot be written, or a database in it is damaged.
    """
    home = settings.dagster_home.absolute()
    if problem := pattern_problem(home / CONFIG_FILE):
        raise SettingsError("Dagster cannot keep its state there", where=home, why=problem, do="rename the data root")
    with exclusive_lock(home / ".setup.lock"):
        if not (home / CONFIG_FILE).exists():
            write_text(home / CONFIG_FILE, CONFIG)
        if not (home / WORKSPACE_FILE).exists():
            write_text(home / WORKSPACE_FILE, WORKSPACE)
        check_home(home)  # before anything reads them
        _suit_storage(home)
        if not (home / ".ready").exists():
            _make_databases(home)
            write_text(home / ".ready", "")
    return home


def _suit_storage(home: Path) -> None:
    """Add the storage that a home of such a path needs, unless its configuration names one."""
    if not set(SIGNS) & set(str(home)):
        return
    config = (home / CONFIG_FILE).read_text(encoding="utf-8")
    if not _STORAGE_NAMED.search(config):
        write_text(home / CONFIG_FILE, config.rstrip("\n") + "\n" + STORAGE)


def _make_databases(home: Path) -> None:
    from dagster import DagsterInstance

    before = os.environ.get("DAGSTER_HOME")
    os.environ["DAGSTER_HOME"] = str(home)
    try:
        with DagsterInstance.from_config(str(home)) as instance:
            instance.get_runs(limit=1)
    finally:
        if before is None:
            del os.environ["DAGSTER_HOME"]
        else:
            os.environ["DAGSTER_HOME"] = before


def home_environment(settings: Settings) -> dict[str, str]:
    """The variables that make Dagster's own commands work on this data root."""
    root, home = str(settings.data_root), str(prepare_home(settings))
    return {"BEATSIGHT_DATA_ROOT": root, "DAGSTER_HOME": home, **FLAGLESS}


def use_home(settings: Settings) -> Path:
    """Prepare the home and make it this process's, and that of the processes it starts."""
    os.environ.update(home_environment(settings))
    return Path(os.environ["DAGSTER_HOME"])


def make_flagless() -> Path:
    """Let this virtual environment's `dagster asset materialize` find the definitions without `-m`.

    Returns:
        The file written: a `.pth`, which Python reads at its start, that sets `FLAGLESS` where it is not set.

    Raises:
        UsageError: Python does not run in a virtual environment, so its files are not this project's to change.
    """
    if sys.prefix == sys.base_prefix:
        raise UsageError("This Python is no virtual environment", where=sys.prefix, do="make one with `python -m venv`")
    defaults = "; ".join(f"os.environ.setdefault({name!r}, {value!r})" for name, value in FLAGLESS.items())
    path = Path(sysconfig.get_path("purelib")) / "beatsight_dagster_commands.pth"
    write_text(path, f"import os; {defaults}\n")
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare the home of the configured data root and print what a shell has to export; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m beatsight_dagster.instance", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--flagless", action="store_true", help="set this virtual environment up for Dagster's commands"
    )
    given = parser.parse_args(arguments)
    try:
        if given.flagless:
            print(make_flagless())
            return 0
        environment = home_environment(load_settings())
    except Exception as error:  # noqa: BLE001 - the program ends with a paragraph
        return told_at_the_end(error)
    for name, value in environment.items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
