"""From any text to the name of a file, and to its place in a folder. Nothing else makes a file name of a text.

A name made here never leads elsewhere, is never hidden, is never taken for a temporary one, and can be had on every
file system: Windows and exFAT know neither `CON` nor a dot at the end, and take `Kit` and `kit` for the same.
"""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from beatsight_core.leftovers import looks_temporary

LONGEST = 150
"""Characters of a name; a longer one is cut and ends in a digest of the whole text."""

_KEPT, _DIGEST = 100, 16
_LIKE_CUT = re.compile(rf"(.{{{_KEPT}}})-([0-9a-f]{{{_DIGEST}}})")
_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(?= *(\.|$))")
"""Names that Windows gives to devices, in whatever case and with whatever ending."""

_EMPTY = "%"
"""The name of an empty text: quoting never leaves a percent sign alone."""


def file_name(text: str) -> str:
    """Make a text the name of a file: itself if it is plain, else percent-encoded. Different texts, different names.

    Args:
        text: Text of any kind; of an ordinary name nothing changes.

    Returns:
        At most `LONGEST` ASCII characters, of which the first is no dot.
    """
    name = _everywhere(_quoted(text))
    if len(name) > LONGEST:
        return _cut(name, text)
    if like := _LIKE_CUT.fullmatch(name):  # a short text that reads like the name of a long one
        name = f"{like[1]}{_code('-')}{like[2]}"
    return name


def place_in(folder: Path, text: str, suffix: str = "") -> Path:
    """Return the path of the file or folder that belongs to a text.

    What earlier versions put there under another name keeps it. Where another text, which differs in upper and lower
    case only, has its place already, letters are written as percent codes: so the two do not meet on a drive that
    ignores case, or on the way to one.

    Args:
        folder: Folder that it lies in or is to lie in.
        text: Text of any kind.
        suffix: Ending of its name.
    """
    name, spelt, before = (each + suffix for each in (file_name(text), _case_spelt(text), _as_before(text)))
    names = _names_in(folder)
    known = next((each for each in (spelt, name, before) if each in names), None)
    if known is None:
        known = spelt if name.casefold() in {other.casefold() for other in names} else name
    return folder / known


def distinct_name(text: str) -> str:
    """Make a text the name of a file that differs from every other text's also where case is ignored.

    For names that are given without a look at the folder: one with capitals ends in a digest.
    """
    name = file_name(text)
    if name == _quoted(text) and not re.search(r"[A-Z]", re.sub(r"%[0-9A-F]{2}", "", name)):
        return name
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
    return f"{name[:_KEPT]}{_EMPTY}-{digest}"


def lock_names(texts: Iterable[str]) -> list[str]:
    """Return the names of the locks of several texts, in the order in which all take them.

    A lock is held for as long as a process runs, so texts that differ in case only may share one.
    """
    return sorted({file_name(text).casefold() for text in texts})


def _everywhere(name: str) -> str:
    """A quoted name without what some file system, or this program, gives a meaning to."""
    if not name:
        return _EMPTY
    if device := _DEVICE.match(name):
        name = "".join(map(_code, device[1])) + name[device.end() :]
    if name[0] == ".":
        name = _code(".") + name[1:]
    if name[-1] in ". ":
        name = name[:-1] + _code(name[-1])
    if looks_temporary(name):
        start, mark, rest = name.rpartition(".tmp-")
        name = f"{start}{_code('.')}{mark[1:]}{rest}"
    return name


def _case_spelt(text: str) -> str:
    """A name in which every letter is a code, so that no two texts have it, whoever reads it."""
    spelt = re.sub(r"%[0-9A-F]{2}|[A-Za-z]", _letter_spelt, file_name(text))
    return spelt if len(spelt) <= LONGEST else _cut(spelt, text)


def _letter_spelt(found: re.Match[str]) -> str:
    return found[0] if found[0].startswith("%") else _code(found[0])


def _quoted(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe=" +,=@")


def _cut(name: str, text: str) -> str:
    """The beginning of a name, and the digest of its text as `files.digest_bytes` gives it."""
    data = text.encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(len(data).to_bytes(8, "little") + data).hexdigest()
    return f"{name[:_KEPT]}-{digest[:_DIGEST]}"


def _as_before(text: str) -> str:
    """The name that earlier versions gave, which thought of no other file systems."""
    name = _quoted(text)
    if _LIKE_CUT.fullmatch(name):  # then it may be another's
        return file_name(text)
    return name if len(name) <= LONGEST else _cut(name, text)


def _code(character: str) -> str:
    return f"%{ord(character):02X}"


def _names_in(folder: Path) -> frozenset[str]:
    try:
        return frozenset(path.name for path in folder.iterdir())
    except OSError:  # not there yet, or gone with its drive: whoever writes or reads next is told
        return frozenset()
