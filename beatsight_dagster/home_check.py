"""Whether Dagster's home can be used: its configuration is one, and its databases are databases.

Dagster itself says of a damaged file only what the library under it says, at the end of a long trace.
"""

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import quote

import yaml

from beatsight_core.errors import SettingsError, StorageError

DATABASES = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")


def check_home(home: Path) -> None:
    """Look at the files that Dagster opens first.

    Args:
        home: Folder that DAGSTER_HOME names.

    Raises:
        SettingsError: `dagster.yaml` is no configuration.
        StorageError: A database is damaged.
    """
    config = home / "dagster.yaml"
    if config.is_file():
        _check_config(config)
    for name in DATABASES:
        if (home / name).exists():
            _check_database(home / name)


def _check_config(file: Path) -> None:
    try:
        value = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        why = " ".join(str(error).split())[:200]
        do = "mend it, or delete it: the next command writes a new one"
        raise SettingsError("Dagster's configuration is not valid YAML", where=file, why=why, do=do) from error
    if not isinstance(value, dict | None):
        do = "mend it, or delete it: the next command writes a new one"
        raise SettingsError("Dagster's configuration is no table of settings", where=file, do=do)


def _check_database(file: Path) -> None:
    try:
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True, timeout=1.0)) as database:
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        if file.is_file():  # somebody writes to it at this moment, or the drive is read-only
            return
        raise _damaged(file, error) from error
    except sqlite3.DatabaseError as error:
        raise _damaged(file, error) from error


def _damaged(file: Path, error: Exception) -> StorageError:
    return StorageError(
        "A database of Dagster is damaged",
        where=file,
        why=str(error),
        do="restore it, or move the folder dagster of the data root away: the next command makes a new one, and only "
        "the history of runs is lost, no data and no model",
    )
