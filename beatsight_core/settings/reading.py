"""From the environment and `beatsight.toml` to `Settings`. All problems are collected and reported at once."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from beatsight_core.errors import SettingsError
from beatsight_core.settings.contradictions import contradictions, unknown_names
from beatsight_core.settings.layout import ENVIRONMENT_FOLDERS, SETTINGS_FILE, Settings, resolve_path
from beatsight_core.settings.paths import path_problem
from beatsight_core.settings.sections import (
    LOOSENED,
    ConfigTarget,
    DatasetSettings,
    FeatureSettings,
    GateSettings,
    ReleaseSettings,
    SourceSet,
    TrackingSettings,
    WebSettings,
)
from beatsight_core.toml import parsed, section, unknown, values_of

MOST_BYTES = 2**20
"""Of a settings file."""


def load_settings(data_root: str | Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Read environment and `beatsight.toml` into `Settings`. Creates nothing.

    Args:
        data_root: Beats `BEATSIGHT_DATA_ROOT`; default `./data`.
        environment: Instead of `os.environ`.

    Raises:
        SettingsError: The file or a variable is wrong; all problems in one message.
    """
    env = os.environ if environment is None else environment
    given = str(data_root) if data_root is not None else env.get("BEATSIGHT_DATA_ROOT") or "data"
    root = resolve_path(given, Path.cwd(), written=True)
    if problem := path_problem(root):
        raise SettingsError("A data root cannot lie there", where=ascii(str(root)), why=problem, do="choose another")
    file = root / SETTINGS_FILE
    table = _read_toml(file)
    problems: list[str] = []
    written = table.pop("secondary_root", None)  # taken out also where the environment beats it
    secondary = env.get("BEATSIGHT_SECONDARY_ROOT") or written
    folders = {
        name: resolve_path(env.get(variable) or str(root / place), root, written=True)
        for name, (variable, place) in ENVIRONMENT_FOLDERS.items()
    }
    settings = Settings(
        data_root=root,
        secondary_root=resolve_path(str(secondary), root) if secondary else None,
        taxonomy=_taxonomy(table.pop("taxonomy", "core"), problems),
        sources=_sources(table.pop("sources", {}), root, problems),
        dataset=section(DatasetSettings, table.pop("dataset", {}), "dataset", problems),
        features=section(FeatureSettings, table.pop("features", {}), "features", problems),
        gates=_gates(table.pop("gates", {}), problems),
        tracking=_tracking(table.pop("tracking", {}), env, problems),
        training=_training(table.pop("training", {}), problems),
        release=_release(table.pop("release", {}), root, problems),
        web=_web(table.pop("web", {}), env, problems),
        file=file if file.exists() else None,
        **folders,
    )
    known = [f.name for f in dataclasses.fields(Settings)]
    problems += [unknown(key, "", known) for key in table]
    problems += unknown_names(settings) + contradictions(settings)
    if problems:
        raise SettingsError("Settings are wrong: " + "; ".join(problems), where=file, do="mend these values")
    return settings


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        if file.exists() and (not file.is_file() or file.stat().st_size > MOST_BYTES):
            why = f"that is no plain file, or one of more than {MOST_BYTES:,} bytes"
            raise SettingsError("The settings file cannot be read", where=file, why=why, do="move it away")
        return parsed(file.read_text(encoding="utf-8-sig"))
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


def _taxonomy(value: Any, problems: list[str]) -> str:
    if value not in ("core", "extended"):
        problems.append(f"taxonomy must be 'core' or 'extended', not {value!r}")
        return "core"
    return str(value)


def _sources(table: Any, root: Path, problems: list[str]) -> dict[str, SourceSet]:
    if not isinstance(table, dict):
        problems.append("[sources] must hold one table per source set")
        return {}
    sources = {}
    for name, entry in table.items():
        source = section(SourceSet, entry, f"sources.{name}", problems, name=name)
        roots = tuple(resolve_path(str(path), root) for path in source.roots)
        shifts = resolve_path(str(source.session_shifts), root) if source.session_shifts else None
        sources[name] = dataclasses.replace(source, roots=roots, session_shifts=shifts)
    return sources


def _gates(table: Any, problems: list[str]) -> GateSettings:
    """`[gates]`, in which the tables of numbers may also hold a reason in words."""
    reasons: dict[str, str] = {}
    plain = dict(table) if isinstance(table, dict) else table
    for name in ("promotion", "probe"):
        limits = plain.get(name) if isinstance(plain, dict) else None
        if not isinstance(limits, dict) or LOOSENED not in limits:
            continue
        plain[name] = {figure: limit for figure, limit in limits.items() if figure != LOOSENED}
        reason = limits[LOOSENED]
        if isinstance(reason, str) and reason.strip():
            reasons[name] = " ".join(reason.split())
        else:
            problems.append(f"gates.{name}.{LOOSENED} must be a reason in words, not {reason!r}")
    gates: GateSettings = section(GateSettings, plain, "gates", problems, loosened=reasons)
    return gates


def _tracking(table: Any, env: Mapping[str, str], problems: list[str]) -> TrackingSettings:
    tracking: TrackingSettings = section(TrackingSettings, table, "tracking", problems)
    return dataclasses.replace(
        tracking,
        mode=env.get("WANDB_MODE") or tracking.mode,
        group=env.get("WANDB_RUN_GROUP") or tracking.group,
    )


def _web(table: Any, env: Mapping[str, str], problems: list[str]) -> WebSettings:
    """`[web]`, whose `hosts` the variable BEATSIGHT_WEB_HOSTS replaces: names with commas between."""
    web: WebSettings = section(WebSettings, table, "web", problems)
    named = env.get("BEATSIGHT_WEB_HOSTS")
    return web if named is None else WebSettings(tuple(filter(None, map(str.strip, named.split(",")))))


def _training(table: Any, problems: list[str]) -> dict[str, dict[str, Any]]:
    if isinstance(table, dict) and all(isinstance(entry, dict) for entry in table.values()):
        return {name: dict(entry) for name, entry in table.items()}
    problems.append("[training] must hold one table per preset, as [training.warmup]")
    return {}


def _release(table: Any, root: Path, problems: list[str]) -> ReleaseSettings:
    """`[release]` and its list of configurations, all paths absolute."""
    table = dict(table) if isinstance(table, dict) else table
    listed = table.pop("configs", []) if isinstance(table, dict) else []
    release: ReleaseSettings = section(ReleaseSettings, table, "release", problems, configs=())
    return dataclasses.replace(
        release,
        roots=tuple(resolve_path(str(path), root) for path in release.roots),
        current_status=resolve_path(str(release.current_status), root) if release.current_status else None,
        next_steps=resolve_path(str(release.next_steps), root) if release.next_steps else None,
        configs=_configs(listed, root, problems),
    )


def _configs(listed: Any, root: Path, problems: list[str]) -> tuple[ConfigTarget, ...]:
    if not isinstance(listed, list):
        problems.append("[[release.configs]] must be a list of tables")
        return ()
    targets: list[ConfigTarget] = []
    for number, entry in enumerate(listed):
        where = f"release.configs[{number}]"
        values = entry if isinstance(entry, dict) else {}
        if missing := [name for name in ("file", "key") if not values.get(name)]:
            problems.append(f"{where} lacks {' and '.join(missing)}")
            continue
        known = values_of(ConfigTarget, values, f"{where}.", problems)
        if {"file", "key"} <= set(known):
            target = ConfigTarget(**{**known, "file": resolve_path(str(known["file"]), root)})
            if any((each.file, each.key) == (target.file, target.key) for each in targets):
                problems.append(f"{where} names {target.key} of {target.file} once more")
            targets.append(target)
    return tuple(targets)
