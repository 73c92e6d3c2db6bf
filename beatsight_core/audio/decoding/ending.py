"""Where a file ends: how many of its frames lie where they belong, and whether more were there once."""

from dataclasses import dataclass
from typing import BinaryIO

from beatsight_core.audio.decoding.damage import proven_frames
from beatsight_core.audio.headers.header import Header


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a file.

    Attributes:
        frames: Number of frames whose position is certain.
        is_missing: True if more frames were there once: what follows is unknown, not silence.
        reason: Name under which hits that reach into the missing part are counted.
        why: Description of what is missing; also given where no hit is lost by it.
        as_written: True if the header said just this, so that nothing had to be decided. Never true of MP3 and Opus,
            which an earlier version decoded differently.
    """

    frames: int
    is_missing: bool = False
    reason: str = "past_end"
    why: str = ""
    as_written: bool = True


def ending_of(stream: BinaryIO, header: Header, frames: int, failed: str | None) -> Ending:
    """Return where a decoded file ends.

    Args:
        stream: The file.
        header: Header of the file.
        frames: Frames that decoded.
        failed: Decoder's message about the first frame that failed; None if decoding reached the end.

    Raises:
        OSError: The drive failed.
    """
    promised = header.declared_frames
    if failed is not None:
        of = "" if promised is None else f" of {promised:,}"
        why = f"damaged: decoding ends after {frames:,} frames{of}: {failed}"
        proven = _proven(stream, header, frames) if header.format == "OGG" else frames
        return Ending(proven, True, "truncated_audio", why, as_written=False)
    if header.is_open_ended:
        return Ending(frames, why=open_end(frames), as_written=False)
    if promised is None or frames >= promised:
        return Ending(frames, as_written=header.frames is not None and not header.remembers)
    return _shorter(stream, header, frames, promised)


def open_end(frames: int | None) -> str:
    """Return the message for a file whose header leaves open how long it is."""
    return f"its header does not say how long it is: the {frames or 0:,} frames that follow count"


def cut_short(promised: int | None, frames: int | None) -> str:
    """Return the message for a file that holds fewer frames than its header promises."""
    return f"cut short: the header promises {promised or 0:,} frames, {frames or 0:,} are there"


def _shorter(stream: BinaryIO, header: Header, frames: int, promised: int) -> Ending:
    """The ending of a file of which fewer frames decode than its header speaks of."""
    if header.is_estimate:
        return _estimated(stream, header, frames, promised)
    if header.is_counted:
        return Ending(frames, True, "past_end", cut_short(promised, frames), as_written=False)
    why = f"cut short: the header promises {promised:,} frames, decoding ends after {frames:,}"
    return Ending(frames, True, "truncated_audio", why, as_written=False)


def _estimated(stream: BinaryIO, header: Header, frames: int, promised: int) -> Ending:
    """The ending of a file whose header only estimated its length, so that fewer frames mean nothing by themselves.

    Pages of Ogg say where they belong. Frames of MP3 do not: what decodes counts, and that some may have moved is said.
    """
    proven = _proven(stream, header, frames)
    if proven == frames:
        return Ending(frames, as_written=False)
    is_known = header.format == "OGG"
    place = "has lost its place" if is_known else "may have lost its place"
    why = f"damaged: what follows after {proven:,} frames {place} ({frames:,} of {promised:,} decode)"
    return Ending(proven if is_known else frames, is_known, "truncated_audio", why, as_written=False)


def _proven(stream: BinaryIO, header: Header, frames: int) -> int:
    proven = proven_frames(stream, header) if header.is_estimate else None
    return frames if proven is None else min(proven, frames)
