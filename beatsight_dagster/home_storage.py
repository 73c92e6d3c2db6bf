"""Dagster's SQLite files in a data root whose path holds signs that mean something in an address or a pattern.

Dagster makes an address of a database by putting its path behind `sqlite:///` as it is. What reads the address takes
`%20` for a space and whatever follows `?` for options, so that a database lies elsewhere, even outside the data root.
`instance.prepare_home` writes this storage into the configuration of such a home, and of no other. Its files lie where
Dagster's own would lie.
"""

from pathlib import Path
from typing import Any

from dagster._config import StringSource
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData
from sqlalchemy.engine import URL, make_url

from beatsight_core.errors import SettingsError

for _module in (sqlite_event_log, sqlite_run_storage, sqlite_schedule_storage):
    _module.create_db_conn_string = lambda folder, name: address_of(Path(folder) / f"{name}.db")  # type: ignore[attr-defined]


def address_of(database: Path) -> str:
    """Return the address of a SQLite file.

    Raises:
        SettingsError: No address leads to a file of that path.
    """
    path = str(database.absolute())
    address = URL.create("sqlite", database=path).render_as_string()
    if make_url(address).database != path:
        raise SettingsError(
            "Dagster's SQLite cannot keep its files in a folder of that name",
            where=database.parent,
            do="move the data root to a path without the signs % ? #",
        )
    return address


class HomeStorage(DagsterSqliteStorage):
    """Dagster's storage below DAGSTER_HOME, at addresses that lead there."""

    @classmethod
    def config_type(cls) -> Any:
        """What the configuration holds: the folder."""
        return {"base_dir": StringSource}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> "HomeStorage":
        """Make it as configured."""
        return cls(config_value["base_dir"], inst_data)
