"""From the environment and `beatsight.toml` to `Settings`. All problems are collected and reported at once."""

import dataclasses
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from beatsight_core.errors import SettingsError
from beatsight_core.settings.layout import ENVIRONMENT_FOLDERS, SETTINGS_FILE, Settings
from beatsight_core.settings.paths import path_problem
from beatsight_core.settings.sections import LOOSENED, SettingsTables
from beatsight_core.settings.typed_paths import resolve_path
from beatsight_core.settings.validation import Place, checked, dotted, hidden_key
from beatsight_core.typed_json import JsonValue

MOST_BYTES = 2**20
"""Of a settings file."""

MOST_PARTS = 100
"""Of a dotted key."""

_KEY = r'(?:[A-Za-z0-9_-]+|"[^"\n]*"|\'[^\'\n]*\')'
LONG_KEY = re.compile(rf"(?<![A-Za-z0-9_\-\"']){_KEY}(?:[ \t]*\.[ \t]*{_KEY}){{{MOST_PARTS},}}")
"""A key of more parts than that, wherever it stands."""

_VARIABLES: Mapping[Place, str] = {
    ("secondary_root",): "BEATSIGHT_SECONDARY_ROOT",
    ("tracking", "mode"): "WANDB_MODE",
    ("tracking", "group"): "WANDB_RUN_GROUP",
    ("web", "hosts"): "BEATSIGHT_WEB_HOSTS",
}
"""Value of the file -> environment variable that beats it."""


def load_settings(
    data_root: str | Path | None = None,
    environment: Mapping[str, str] | None = None,
    also: Callable[[SettingsTables], Iterable[str]] = lambda tables: (),
) -> Settings:
    """Read environment and `beatsight.toml` into `Settings`. Creates nothing.

    Args:
        data_root: Folder that beats `BEATSIGHT_DATA_ROOT`; default `./data`.
        environment: Variables instead of those of `os.environ`.
        also: Function that looks for further problems in the tables, and returns a line for each.

    Raises:
        SettingsError: The file or a variable is wrong; all problems in one message.
    """
    env = os.environ if environment is None else environment
    given = str(data_root) if data_root is not None else env.get("BEATSIGHT_DATA_ROOT") or "data"
    root = resolve_path(given, Path.cwd(), written=True)
    if problem := path_problem(root):
        raise SettingsError("A data root cannot lie there", where=ascii(str(root)), why=problem, do="choose another")
    file = root / SETTINGS_FILE
    table = _with_variables(_read_toml(file), env)
    folders: dict[str, Any] = {
        name: resolve_path(env.get(variable) or str(root / place), root, written=True)
        for name, (variable, place) in ENVIRONMENT_FOLDERS.items()
    }
    problems: list[str] = []
    table["gates"] = _reasons_apart(table.get("gates", {}), problems)
    tables = checked(SettingsTables, table, problems, data_root=root, shown=_shown)
    problems += [*tables.disagreements(), *also(tables)] if tables else []
    if tables is None or problems:
        raise SettingsError("Settings are wrong: " + "; ".join(problems), where=file, do="mend these values")
    values = {field.name: getattr(tables, field.name) for field in dataclasses.fields(SettingsTables)}
    return Settings(**values, data_root=root, file=file if file.exists() else None, **folders)


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        if file.exists() and (not file.is_file() or file.stat().st_size > MOST_BYTES):
            why = f"that is no plain file, or one of more than {MOST_BYTES:,} bytes"
            raise SettingsError("The settings file cannot be read", where=file, why=why, do="move it away")
        return _parsed(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}
    except NotADirectoryError as error:
        raise SettingsError("The data root is not a folder", where=file.parent, do="name a folder") from error
    except ValueError as error:
        raise SettingsError(
            "The settings file is not valid TOML",
            where=file,
            why=str(error),
            do="mend that line; write Windows paths in 'single quotes'",
        ) from error
    except OSError as error:
        raise SettingsError("The settings file cannot be read", where=file, why=str(error)) from error


def _parsed(text: str) -> dict[str, Any]:
    """What a text of TOML says.

    Raises:
        ValueError: The text is no TOML, or its tables lie deeper inside each other than any program's do.
    """
    if LONG_KEY.search(text):  # for a key of thousands of parts the standard library takes minutes
        raise ValueError(f"a key has more than {MOST_PARTS} parts")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("tables and lists lie too deep inside each other") from error


def _with_variables(table: dict[str, Any], env: Mapping[str, str]) -> dict[str, Any]:
    """The tables of the file with what variables say over them. One that is empty says nothing, save that of hosts."""
    if not table.get("secondary_root", True):
        del table["secondary_root"]
    for (*parents, name), variable in _VARIABLES.items():
        value: Any = env.get(variable)
        if name == "hosts" and value is not None:
            value = [host for host in map(str.strip, value.split(",")) if host]
        elif not value:
            continue
        below: Any = table
        for parent in parents:
            below = below.setdefault(parent, {})
        if isinstance(below, dict):
            below[name] = value
    return table


def _reasons_apart(gates: JsonValue, problems: list[str]) -> JsonValue:
    """`[gates]`, whose tables of numbers may also hold a reason in words, with the reasons in a table of their own."""
    if not isinstance(gates, dict):
        return gates
    reasons: dict[str, str] = {}
    for name in ("promotion", "probe"):
        limits = gates.get(name)
        if not isinstance(limits, dict) or LOOSENED not in limits:
            continue
        gates = {**gates, name: {figure: limit for figure, limit in limits.items() if figure != LOOSENED}}
        reason = limits[LOOSENED]
        if isinstance(reason, str) and reason.strip():
            reasons[name] = " ".join(reason.split())
        else:
            problems.append(f"gates.{name}.{LOOSENED} must be a reason in words, not {reason!r}")
    return {**gates, hidden_key(LOOSENED): reasons}


def _shown(place: Place) -> str:
    """A place as it is written, with the variable that may have set it."""
    return f"{dotted(place)}, or the variable {_VARIABLES[place]}," if place in _VARIABLES else dotted(place)
