"""Onsets as people and programs have them: text files, tables, JSON and JAMS, labels of Audacity and Sonic Visualiser.

Nothing is misread silently. Which form a file has is seen from what is in it; what fits two readings is refused, with
the line. Each form has a file of its own here.
"""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beatsight_core.errors import InputError
from beatsight_core.inference.onset_files.file_text import text_of
from beatsight_core.inference.onset_files.json_files import times_of_json
from beatsight_core.inference.onset_files.sonic_visualiser import times_of_layer
from beatsight_core.inference.onset_files.table import times_of_lines

__all__ = ["read_onsets"]

logger = logging.getLogger("beatsight")


def read_onsets(path: Path) -> NDArray[np.float64]:
    """Read onsets in seconds from a file.

    Args:
        path: Text file with a time a line; a table (CSV with commas, semicolons or tabs, with or without a heading);
            Audacity's labels; a layer of Sonic Visualiser (.csv, .svl); Reaper's markers; JSON; JAMS.

    Returns:
        Ascending; a time that repeats is kept once. Both are told in the log.

    Raises:
        InputError: The file cannot be read or holds no onset; or a line is not a time, or fits two readings. The first
            such line is named.
    """
    text = text_of(path)
    times = _reader(path, text)(text, str(path))
    if not times:
        raise InputError("There are no onsets", where=path, do="write one a line, or leave the file out to detect them")
    seconds = np.array([time for _, time in times], dtype=np.float64)
    if (np.diff(seconds) < 0).any():
        logger.info("%s: the onsets are not in order, and are sorted", path)
    ascending = np.unique(seconds)
    if len(ascending) < len(seconds):
        logger.info("%s: %d of %d onsets repeat another", path, len(seconds) - len(ascending), len(seconds))
    return ascending


def _reader(path: Path, text: str) -> Callable[[str, str], list[tuple[str, float]]]:
    """What reads a file: its name decides where it is one of those that name a form, else its beginning."""
    start = text.lstrip("\ufeff \t\r\n")[:1]
    if path.suffix.lower() in (".json", ".jams") or start in ("{", "["):
        return times_of_json
    return times_of_layer if start == "<" else times_of_lines
