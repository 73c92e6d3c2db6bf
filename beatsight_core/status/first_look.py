"""A look at the first lines of a manifest that nobody has read yet: whether it can be one at all."""

from pathlib import Path

from beatsight_core.errors import BeatSightError, ManifestError
from beatsight_core.settings import Settings

LINES = 20
"""Lines that are looked at."""


def why_unreadable(settings: Settings, path: Path) -> BeatSightError | None:
    """Return why a file is no manifest, as far as its first lines show it; None if they look well.

    Args:
        settings: Settings with taxonomy and source sets, by which lines are judged.
        path: File to look at.
    """
    from beatsight_core.manifest.parsing.checks import Rules
    from beatsight_core.manifest.parsing.lines import read_chunks
    from beatsight_core.manifest.parsing.parse import parse_lines

    try:
        chunk = next(read_chunks(path), None)
        if chunk is None:
            return ManifestError("It holds no line", do="export it again")
        if chunk.too_long:
            return ManifestError("Its first line is longer than any event", do="export it again, one event a line")
        result = parse_lines(chunk.blocks(path), chunk.offset, Rules.from_settings(settings), LINES)
    except BeatSightError as error:
        return error
    if not result.read:
        return ManifestError("It holds no line", do="export it again")
    if result.events.num_rows:
        return None
    return ManifestError(
        "Not one of its first lines is a valid event",
        why=f"line {result.rejections[0].line + 1}: {result.rejections[0].message}",
        do="mend the manifest, or the taxonomy and source sets in settings",
    )
