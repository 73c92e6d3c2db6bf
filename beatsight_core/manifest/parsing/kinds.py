"""What a file is that is no manifest: a JSON array, an archive under another name, UTF-16, a table, a sound.

Looked for in the first bytes, before anything is read line by line, so that it is said once and by its name. A file in
whose beginning any line is a JSON object is a manifest, whatever else is in it: its other lines are refused one by one.
"""

import contextlib
import csv
import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from beatsight_core.errors import ManifestError
from beatsight_core.files import storage_errors

HEAD_BYTES = 64 << 10
"""So much of a file, and of the text in an archive, is looked at."""

_WHITESPACE = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"
_SKIPPABLE = b"\x2a\x4d\x18"
"""A zstd archive may begin with a frame to be skipped: these bytes, after one whose upper half is 5."""

_MAGIC = (
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"PK\x03\x04", "a ZIP archive (an Excel workbook is one, too)"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x04\x22\x4d\x18", "an LZ4 archive"),
    (b"PAR1", "a Parquet table"),
    (b"ARROW1", "an Arrow table"),
    (b"FEA1", "a Feather table"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"\x89HDF\r\n", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
    (b"%PDF", "a PDF document"),
    (b"RIFF", "a WAV or other RIFF file"),
    (b"fLaC", "FLAC audio"),
    (b"OggS", "Ogg audio"),
    (b"ID3", "MP3 audio"),
    (b"MThd", "a MIDI file"),
    (b"\x7fELF", "a program"),
    (b"version https://git-lfs.github.com/", "a Git LFS pointer, not the file that it stands for"),
)
"""How files begin that hold no text, and one that only stands for another."""

_WIDE = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
"""Byte-order marks of text in two or four bytes a character."""

_CODECS = {".gz": ("gzip", "a gzip archive"), ".zst": ("zstd", "a zstd archive")}
_SUFFIX_OF = {"a gzip archive": ".jsonl.gz", "a zstd archive": ".jsonl.zst"}
_LINES = "write one JSON object per line, each on a line of its own and without commas between them"
_UTF8 = "save the file as UTF-8"


@dataclass(frozen=True, slots=True)
class Kind:
    """What a file is.

    Attributes:
        name: Name of the kind with its article, as in "a JSON array".
        do: Advice on how to make a manifest of such a file.
    """

    name: str
    do: str


def require_lines(path: Path) -> None:
    """Make sure that a file may hold JSON lines, as its name says: plain, in gzip or in zstd.

    Raises:
        ManifestError: The file is plainly something else; the message says what.
        StorageError: The file cannot be read.
    """
    with storage_errors(path), path.open("rb") as handle:
        head = handle.read(HEAD_BYTES)
    codec = next((known for suffix, known in _CODECS.items() if path.name.endswith(suffix)), None)
    kind = binary_kind(head)
    if codec is None:
        found = _unless_lines(kind, head) or text_kind(head, whole=len(head) < HEAD_BYTES)
        if found is not None:
            raise _is_not(path, "JSON lines", found)
        return
    if kind is not None and kind.name != codec[1]:
        raise _is_not(path, codec[1], kind)
    if kind is None:
        _require_codec(path, head, codec[1])
        return
    text, whole = _text_head(head, codec[0], whole=len(head) < HEAD_BYTES)
    found = _unless_lines(binary_kind(text), text) or text_kind(text, whole=whole)
    if found is not None:
        raise _is_not(path, f"JSON lines in {codec[1]}", Kind(f"{found.name} in {codec[1]}", found.do))


def binary_kind(head: bytes) -> Kind | None:
    """Return what a file is whose first bytes tell it; None where they may be text."""
    for magic, name in _MAGIC:
        if head.startswith(magic):
            suffix = _SUFFIX_OF.get(name)
            again = "export the events as JSON lines"
            return Kind(name, f"name it {suffix}, or unpack it" if suffix else again)
    if head[257:262] == b"ustar":
        return Kind("a tar archive", "unpack it, and take the file inside")
    if head and not head.strip(b"\0"):
        return Kind("zero bytes, as a copy that broke off or a failing drive leaves them", "copy the file again")
    return None


def _unless_lines(kind: Kind | None, head: bytes) -> Kind | None:
    """A kind, unless a line holds an object: a manifest whose first line is broken may begin as anything.

    An archive that compresses nothing holds such lines, too. It is known by more than its first bytes.
    """
    if kind is None or not any(_is_object(line) for line in head.split(b"\n")):
        return kind
    return kind if head[257:262] == b"ustar" or _is_zip(head) or _is_gzip(head) else None


def _is_zip(head: bytes) -> bool:
    """Whether the first entry has a version and a method that there are."""
    version, _, method = (int.from_bytes(head[at : at + 2], "little") for at in (4, 6, 8))
    return head[:4] == b"PK\x03\x04" and 10 <= version <= 63 and method in (0, 8, 9, 12, 14, 93, 95)


def _is_gzip(head: bytes) -> bool:
    """Whether something can be unpacked."""
    with contextlib.suppress(zlib.error):
        return bool(zlib.decompressobj(wbits=31).decompress(head, 1))
    return False


def text_kind(head: bytes, *, whole: bool) -> Kind | None:
    """Return what a text is that holds no JSON lines; None where it may hold some.

    Args:
        head: Bytes at the beginning of the text.
        whole: Flag of a text that ends with these bytes.
    """
    text = head.removeprefix(_BOM).lstrip(_WHITESPACE)
    lines = [line for line in text.split(b"\n")[: None if whole else -1] if line.strip()]
    if (wide := _wide_encoding(head)) and not any(_is_object(line) for line in lines):
        return Kind(f"text in {wide.upper()}", _UTF8)
    if _is_array(text, lines, whole=whole):
        return Kind("a JSON array", _LINES)
    if len(lines) > 1 and all(_is_followed_by_a_comma(line) for line in lines[:-1]):
        return Kind("JSON objects with commas between them", _LINES)
    if any(_is_object(line) for line in lines):
        return None
    return _document_kind(text, lines) or _table_kind(lines)


def _document_kind(text: bytes, lines: list[bytes]) -> Kind | None:
    """What a text is that holds something else than lines of values."""
    before, _, _ = text.partition(b"\r")
    if before != text and _is_object(before):
        return Kind("text with the line ends of old Macs (CR alone)", "save the file with line ends LF or CRLF")
    goes_on = len(lines) > 1 and lines[0].rstrip()[-1:] in b"{[,:" and lines[1].lstrip()[:1] == b'"'
    if text[:1] == b"{" and goes_on:
        return Kind("JSON over several lines", _LINES)
    return Kind("a page or document in HTML or XML", "export the events as JSON lines") if text[:1] == b"<" else None


def _is_array(text: bytes, lines: list[bytes], *, whole: bool) -> bool:
    """Whether all of a text is one JSON array, or it begins as one that its first line does not end."""
    if text[:1] != b"[":
        return False
    if whole and type(_json(text)) is list:
        return True
    first = lines[0] if lines else text
    opened = first[1:].lstrip(_WHITESPACE)
    begins = not opened or opened[:1] in (b"{", b"[")
    # Within an array objects are followed by a comma, or lie deeper; the last one may stand alone.
    inner = [line for line in lines[1:-1] if line[:1] == b"{"]
    stands_alone = len(lines) > 1 and not inner and lines[-1][:1] == b"{" and _is_object(lines[-1])
    return begins and _json(first) is None and not stands_alone and not any(_is_object(line) for line in inner)


def _is_object(line: bytes) -> bool:
    return line.lstrip(_WHITESPACE)[:1] == b"{" and type(_json(line)) is dict


def _is_followed_by_a_comma(line: bytes) -> bool:
    return line.rstrip().endswith(b"},") and _is_object(line.rstrip()[:-1])


def _json(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _wide_encoding(head: bytes) -> str | None:
    """UTF-16 or UTF-32 by their marks, or by the zero bytes beside every plain character."""
    for mark, name in _WIDE:
        if head.startswith(mark):
            return name
    start = head[:64]
    if len(start) < 4 or b"\0" not in start:
        return None
    for name, step in (("utf-32", 4), ("utf-16", 2)):
        for place in (0, step - 1):
            plain = start[place::step]
            others = bytes(byte for at, byte in enumerate(start) if at % step != place)
            if plain.isascii() and b"\0" not in plain and not others.strip(b"\0"):
                return name
    return None


def _table_kind(lines: list[bytes]) -> Kind | None:
    """A table of values between commas, semicolons or tabs: one heading, and rows of as many columns."""
    try:
        rows = [line.decode("utf-8") for line in lines[:20] if line.strip()]
    except UnicodeDecodeError:
        return None
    if len(rows) < 2 or any(_json(row.encode()) is not None or row.lstrip()[:1] in ("{", "[") for row in rows):
        return None
    for separator, name in ((",", "CSV"), (";", "CSV with semicolons"), ("\t", "a table with tabs")):
        widths = {len(row) for row in csv.reader(io.StringIO("\n".join(rows)), delimiter=separator)}
        if len(widths) == 1 and widths.pop() >= 3:
            return Kind(name, "export the events as JSON lines")
    return None


def _text_head(head: bytes, codec: str, *, whole: bool) -> tuple[bytes, bool]:
    """The first bytes of the text in an archive, and whether it has no more; as much as can be unpacked.

    Args:
        head: Bytes at the beginning of the archive.
        codec: Name of the codec, "gzip" or "zstd".
        whole: Flag of an archive that ends with these bytes.
    """
    if codec == "gzip":
        unpacking = zlib.decompressobj(wbits=31)
        with contextlib.suppress(zlib.error):  # damaged: whoever reads all of it tells
            text = unpacking.decompress(head, HEAD_BYTES)
            return text, whole and unpacking.eof and not unpacking.unused_data
        return b"", False
    text = b""
    with contextlib.suppress(OSError), pa.CompressedInputStream(pa.BufferReader(head), codec) as source:
        while part := source.read(min(4096, HEAD_BYTES - len(text))):
            text += part
        return text, whole and len(text) < HEAD_BYTES
    return text, False  # the archive goes on beyond its head, or is damaged


def _require_codec(path: Path, head: bytes, wanted: str) -> None:
    """Refuse a file that its name calls an archive and that is none."""
    if not head or (wanted == "a zstd archive" and head[0] >> 4 == 5 and head[1:4] == _SKIPPABLE):
        return
    if head.removeprefix(_BOM).lstrip(_WHITESPACE)[:1] in (b"{", b"["):
        raise _is_not(path, wanted, Kind("plain text", "take .gz or .zst off its name"))
    raise ManifestError(
        "A compressed manifest is damaged or cut",
        where=path,
        why=f"it does not begin as {wanted} does",
        do="copy or compress the file again",
    )


def _is_not(path: Path, wanted: str, found: Kind) -> ManifestError:
    return ManifestError(f"The file is {found.name}, and not {wanted}", where=path, do=found.do)
