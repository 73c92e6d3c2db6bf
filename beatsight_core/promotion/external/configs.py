"""Other programs' configurations that name the champion: `[[release.configs]]` says which value of which file.

Only files that settings name, inside the data root or `release.roots`, are ever touched; one value in each, all else to
the byte as it was (`config_text`). A dated copy is left beside a file that changes.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from beatsight_core.errors import SettingsError
from beatsight_core.promotion.external.config_text import ConfigTextError, format_of, most_bytes, value_of, with_value
from beatsight_core.promotion.external.edit_file import FileChange, allowed_file, read_whole
from beatsight_core.promotion.version.weights_and_sidecar import CURRENT_WEIGHTS
from beatsight_core.runs.lookup import WEIGHTS, version_folder
from beatsight_core.settings import ConfigTarget, Settings

BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class NamedChampion:
    """A champion as configurations are told of it.

    Attributes:
        version: Number of its version.
        run_id: Id of the run that it came of.
        sha256: SHA-256 of its .pth.
    """

    version: int
    run_id: str
    sha256: str

    def values(self, settings: Settings) -> dict[str, str]:
        """Return what stands for each {name} in `release.configs`."""
        folder = version_folder(settings, self.version)
        return {
            "weights": str(folder / WEIGHTS),
            "folder": str(folder),
            "current": str(settings.models_dir / CURRENT_WEIGHTS),
            "version": str(self.version),
            "run_id": self.run_id,
            "sha256": self.sha256,
        }


def plan_configs(
    settings: Settings, standing: NamedChampion, targets: Iterable[ConfigTarget] | None = None
) -> list[FileChange]:
    """Return what the configurations are to become. Changes nothing.

    Args:
        settings: Settings that name the files, and the folders in which files may be changed.
        standing: Champion that they are to name.
        targets: Entries of `release.configs` that are looked at; all by default.

    Returns:
        A change per file; one that is right already has the same bytes before and after.

    Raises:
        SettingsError: A file is missing, lies outside, is of no known format, or lacks the value.
    """
    before: dict[Path, bytes] = {}
    after: dict[Path, bytes] = {}
    for target in settings.release.configs if targets is None else targets:
        path, kind = _file_of(settings, target)
        if path not in before:
            before[path] = after[path] = read_whole(path, most_bytes(kind))
        wanted = wanted_value(settings, standing, target)
        with _refused(path, target):
            mark, text = _text_of(after[path])
            after[path] = (mark + with_value(text, kind, target.key, wanted)).encode("utf-8")
    return [FileChange(path, data, after[path], keep=True) for path, data in before.items()]


def wanted_value(settings: Settings, standing: NamedChampion, target: ConfigTarget) -> str:
    """Return what a configuration is to say of a champion: its template with the {names} filled in.

    Plain replacement, as the text is the user's and no program.

    Raises:
        SettingsError: The template holds a name that stands for nothing.
    """
    values = standing.values(settings)
    named = set(re.findall(r"\{(\w*)\}", target.value))
    if unknown := named - set(values):
        raise SettingsError(
            f"release.configs knows no {{{min(unknown)}}}",
            where=target.file,
            do="use some of " + ", ".join(f"{{{name}}}" for name in values),
        )
    return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], target.value)


def present_value(settings: Settings, target: ConfigTarget) -> str:
    """Return what a configuration says now.

    Raises:
        SettingsError: The file or the key is not there, or the value cannot be found.
    """
    path, kind = _file_of(settings, target)
    data = read_whole(path, most_bytes(kind))
    with _refused(path, target):
        return value_of(_text_of(data)[1], kind, target.key)


def _file_of(settings: Settings, target: ConfigTarget) -> tuple[Path, str]:
    """Return the file of a configuration, links resolved, and its format."""
    path = allowed_file(settings, target.file, "release.configs")
    kind = format_of(path.name)
    if kind is None:
        raise SettingsError(
            "release.configs names a file of no known format", where=path, do="name a .json, .toml, .yaml or .env file"
        )
    return path, kind


def _text_of(data: bytes) -> tuple[str, str]:
    """Return the byte order mark of a file, if it has one, and its text."""
    text = data.decode("utf-8")
    mark = BYTE_ORDER_MARK if text.startswith(BYTE_ORDER_MARK) else ""
    return mark, text.removeprefix(mark)


@contextlib.contextmanager
def _refused(path: Path, target: ConfigTarget) -> Iterator[None]:
    """Turn what stands against a change into a `SettingsError` that names file and value."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise SettingsError(
            "A configuration is not UTF-8", where=path, why=str(error), do="save it as UTF-8"
        ) from error
    except UnicodeEncodeError as error:
        raise SettingsError(
            f"The value for {target.key} of a configuration cannot be written as UTF-8",
            where=path,
            why=str(error),
            do="move the data root to a path whose name is UTF-8",
        ) from error
    except ConfigTextError as error:
        raise SettingsError(
            f"The value {target.key} of a configuration cannot be changed",
            where=path,
            why=str(error),
            do="mend the file, or the entry of release.configs in beatsight.toml",
        ) from error
