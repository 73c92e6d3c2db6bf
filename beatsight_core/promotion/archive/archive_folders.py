"""The folders of archives: which there are, and which are archives at all."""

from pathlib import Path

from beatsight_core.errors import DatasetError
from beatsight_core.files import read_json
from beatsight_core.leftovers import is_temporary
from beatsight_core.settings import Settings

ABOUT = "archive.json"


def archive_folders(settings: Settings) -> list[Path]:
    """List the archives, by day and run, without those that are being written or never were done."""
    found = settings.archive_dir.glob("*/*")
    return sorted(path for path in found if path.is_dir() and not is_temporary(path, is_archive))


def is_archive(folder: Path) -> bool:
    """Return whether a folder is the archive of the run that its name says, and no leftover of another."""
    try:
        run_id = str(read_json(folder / ABOUT)["run_id"])
    except (DatasetError, OSError, TypeError, KeyError):
        return False
    name, number = folder.name.removeprefix(run_id), folder.name.removeprefix(f"{run_id}-")
    return name == "" or (number != folder.name and number.isdecimal())
