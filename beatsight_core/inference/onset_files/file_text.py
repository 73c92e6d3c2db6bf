"""The text of a file of onsets: a plain file of modest size, in an encoding that is known."""

import codecs
import stat
from pathlib import Path

from beatsight_core.errors import InputError

MOST_BYTES = 2**26
"""Of a file of onsets: a million lines are a third of it."""

_ENCODINGS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_OTHERS = {
    **dict.fromkeys((b"RIFF", b"RF64", b"fLaC", b"OggS", b"ID3", b"FORM"), "it is audio"), b"MThd": "it is MIDI",
    b"BZh": "it is a compressed session; export its layer", b"PK\3\4": "it is an archive or a sheet",
    b"\x1f\x8b": "it is compressed", b"\x89PNG": "it is a picture",
}  # fmt: skip
_DO = "give a text, CSV, JSON, JAMS, Audacity or Sonic Visualiser file of onsets"


def text_of(path: Path) -> str:
    """Return the text of a file, as UTF-8 or, where it says so, as UTF-16.

    Raises:
        InputError: The file cannot be read, is too large, or is no text.
    """
    try:
        state = path.stat()
        if not stat.S_ISREG(state.st_mode):
            raise InputError("The onsets cannot be read", where=path, why="that is no file", do=_DO)
        if state.st_size > MOST_BYTES:
            why = f"it has {state.st_size:,} bytes, and {MOST_BYTES:,} are the most"
            raise InputError("The onsets cannot be read", where=path, why=why, do=_DO)
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise InputError(
            "The onsets cannot be read", where=path, why=str(error), do="check its name and form"
        ) from error
    return _decoded(data, path)


def _decoded(data: bytes, path: Path) -> str:
    known = next((what for mark, what in _OTHERS.items() if data.startswith(mark)), None)
    encoding = next((name for mark, name in _ENCODINGS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        why = known or f"it is no text in UTF-8: {error}"
        raise InputError("The onsets cannot be read", where=path, why=why, do=_DO) from error
    if known or "\0" in text:
        raise InputError("The onsets cannot be read", where=path, why=known or "it is no text", do=_DO)
    return text
