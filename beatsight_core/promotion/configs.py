"""Other programs' configurations that name the champion: `[[release.configs]]` says which value of which file.

Only files that settings name, inside the data root or `release.roots`, are ever touched; one value in each, all else to
the byte as it was (`config_text`). A dated copy is left beside a file that changes.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from beatsight_core.errors import SettingsError
from beatsight_core.evaluation.lookup import WEIGHTS, version_folder
from beatsight_core.files import storage_errors
from beatsight_core.promotion.config_text import ConfigTextError, format_of, with_value
from beatsight_core.promotion.foreign_file import FileChange, allowed_file
from beatsight_core.promotion.pair import CURRENT_WEIGHTS
from beatsight_core.settings import ConfigTarget, Settings

BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class Standing:
    """What a configuration can be told of a champion.

    Attributes:
        version: Its version.
        run_id: The run that it came of.
        sha256: Of its .pth.
    """

    version: int
    run_id: str
    sha256: str

    def values(self, settings: Settings) -> dict[str, str]:
        """What stands for each {name} in `release.configs`."""
        folder = version_folder(settings, self.version)
        return {
            "weights": str(folder / WEIGHTS),
            "folder": str(folder),
            "current": str(settings.models_dir / CURRENT_WEIGHTS),
            "version": str(self.version),
            "run_id": self.run_id,
            "sha256": self.sha256,
        }


def plan_configs(settings: Settings, standing: Standing) -> list[FileChange]:
    """What the configurations are to become. Changes nothing.

    Args:
        settings: Name the files, and the folders in which files may be changed.
        standing: The champion that they are to name.

    Returns:
        A change per file; one that is right already has the same bytes before and after.

    Raises:
        SettingsError: A file is missing, lies outside, is of no known format, or lacks the value.
    """
    values = standing.values(settings)
    before: dict[Path, bytes] = {}
    after: dict[Path, bytes] = {}
    for target in settings.release.configs:
        path = allowed_file(settings, target.file, "release.configs")
        if path not in before:
            with storage_errors(path):
                before[path] = after[path] = path.read_bytes()
        after[path] = _with_target(after[path], path, target, _filled(target, values))
    return [FileChange(path, data, after[path], keep=True) for path, data in before.items()]


def _with_target(data: bytes, path: Path, target: ConfigTarget, value: str) -> bytes:
    kind = format_of(path.name)
    if kind is None:
        raise SettingsError(
            "release.configs names a file of no known format", where=path, do="name a .json, .toml, .yaml or .env file"
        )
    try:
        text = data.decode("utf-8")
        mark = BYTE_ORDER_MARK if text.startswith(BYTE_ORDER_MARK) else ""
        return (mark + with_value(text.removeprefix(mark), kind, target.key, value)).encode("utf-8")
    except UnicodeError as error:
        raise SettingsError(
            "A configuration is not UTF-8", where=path, why=str(error), do="save it as UTF-8"
        ) from error
    except ConfigTextError as error:
        raise SettingsError(
            f"The value {target.key} of a configuration cannot be changed",
            where=path,
            why=str(error),
            do="mend the file, or the entry of release.configs in beatsight.toml",
        ) from error


def _filled(target: ConfigTarget, values: dict[str, str]) -> str:
    """The value with its {names} filled in; plain replacement, as the text is the user's and no program."""
    named = set(re.findall(r"\{(\w*)\}", target.value))
    if unknown := named - set(values):
        raise SettingsError(
            f"release.configs knows no {{{min(unknown)}}}",
            where=target.file,
            do="use some of " + ", ".join(f"{{{name}}}" for name in values),
        )
    return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], target.value)
