"""Which manifest is meant, and its identity: the content's SHA-256, remembered as long as the file does not change."""

import hashlib
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from beatsight_core.errors import DatasetError, ManifestError
from beatsight_core.files import read_json, storage_errors, unless_read_only, write_json
from beatsight_core.leftovers import fits_temporary
from beatsight_core.safe_text import for_terminal
from beatsight_core.settings import Settings
from beatsight_core.settings.typed_paths import typed_path

SUMMARY = "summary.json"
"""File of a catalog that says what it was made of."""

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
"""How a manifest's name ends."""

SETTLED_S = 2.0
"""A file modified less than this before it was read may change again without its time stamp showing it."""

_STEP_BYTES = 1 << 18

_LIMITED = re.compile(r"^(?P<key>.+)-limit(?P<limit>[1-9][0-9]*)$")


@dataclass(frozen=True, slots=True)
class ManifestState:
    """What shows that a file has not changed."""

    path: str
    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> "ManifestState":
        """Return the state of a file now."""
        with storage_errors(path):
            status = path.stat()
        return cls(str(path), status.st_size, status.st_mtime_ns, status.st_ino)


_REMEMBERED: dict[ManifestState, str] = {}
_PREFIXES: dict[ManifestState, dict[int, str]] = {}


def manifest_key(path: Path) -> str:
    """Return the name of a manifest everywhere: its stem and the first 8 hex digits of its SHA-256.

    Raises:
        ManifestError: There is no such file, or its name cannot be that of a manifest.
    """
    require_name(path)
    return key_of(path, manifest_sha256(path))


def require_name(path: Path) -> None:
    """Refuse a manifest that could not be named in a table, a file or a line of text.

    Raises:
        ManifestError: The name of the file is not UTF-8 or holds characters that cannot be shown, or is too long.
    """
    problem = name_problem(path)
    if problem:
        raise ManifestError(f"The manifest's {problem}", where=for_terminal(str(path)), do="rename it")


def name_problem(path: Path) -> str | None:
    """Say why a manifest cannot be called that, or None if it can."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return "path is not UTF-8, so it cannot be shown"
    if not path.name.isprintable():
        return "name holds characters that cannot be shown"
    if not fits_temporary(Path(key_of(path, "0" * 64))):
        return "name is too long for the folders that are named by it"
    return None


def key_of(path: Path, sha256: str) -> str:
    """Return the key of a manifest whose digest is known."""
    return f"{manifest_stem(path)}-{sha256[:8]}"


def limited_key(key: str, limit: int | None) -> str:
    """Return the key of a manifest's first `limit` lines."""
    return key if limit is None else f"{key}-limit{limit}"


def split_limit(key: str) -> tuple[str, int | None]:
    """Return a key's manifest and limit: the reverse of `limited_key`."""
    match = _LIMITED.match(key)
    return (match["key"], int(match["limit"])) if match else (key, None)


def manifest_stem(path: Path) -> str:
    """Return the file's name without .jsonl, .jsonl.gz or .jsonl.zst."""
    suffix = next((suffix for suffix in sorted(SUFFIXES, key=len, reverse=True) if path.name.endswith(suffix)), None)
    return path.name.removesuffix(suffix) if suffix else path.stem


def is_compressed(path: Path) -> bool:
    """Return whether the name says that the manifest is compressed."""
    return path.name.endswith((".gz", ".zst"))


def manifest_sha256(path: Path, memory: Path | None = None, *, remember: bool = True, marks: Iterable[int] = ()) -> str:
    """Return the SHA-256 of a manifest's file, in hex.

    Args:
        path: Path of the file.
        memory: Folder in which digests outlive the process.
        remember: Permission to write a new digest into that folder.
        marks: Numbers of bytes; if the file has to be read, the digest of its first so many bytes is taken on the way,
            for each of them, and kept for `prefix_sha256`.

    Raises:
        ManifestError: There is no such file.
    """
    if not path.is_file():
        raise ManifestError("There is no such manifest", where=path, do="check the path")
    state = ManifestState.of(path)
    known = known_sha256(state, memory)
    if known is None:
        began = time.monotonic()
        prefixes = _digests(path, {*marks, state.size})
        if state.size not in prefixes:
            raise ManifestError("The manifest became shorter while it was read", where=path, do="run again")
        known = prefixes[state.size]
        # A time ahead of this clock is another machine's; then only what was seen unchanged for so long counts.
        still_s = max(time.time() - state.mtime_ns / 1e9, time.monotonic() - began)
        settled = still_s > SETTLED_S and ManifestState.of(path) == state
        if settled:
            _REMEMBERED[state], _PREFIXES[state] = known, prefixes
        if settled and memory is not None and remember:
            with unless_read_only():
                write_json(_note(memory, path), asdict(state) | {"sha256": known})
    return known


def prefix_sha256(path: Path, sizes: Iterable[int]) -> dict[int, str]:
    """Return the SHA-256 of a file's first so many bytes, for each size; none for a size beyond its own."""
    state = ManifestState.of(path)
    known = _PREFIXES.get(state, {})
    wanted = set(sizes)
    return known if wanted <= set(known) else _digests(path, wanted)


def _digests(path: Path, sizes: set[int]) -> dict[int, str]:
    """The digests of a file's beginnings, in one pass."""
    found: dict[int, str] = {}
    sha256, place = hashlib.sha256(), 0
    buffer = memoryview(bytearray(_STEP_BYTES))
    with storage_errors(path), path.open("rb", buffering=0) as handle:
        handle.read(1)  # a file that says it is empty may be one that cannot be read
        handle.seek(0)
        for size in sorted(sizes):
            while place < size and (count := handle.readinto(buffer[: min(size - place, _STEP_BYTES)])):
                sha256.update(buffer[:count])
                place += count
            if place == size:
                found[size] = sha256.hexdigest()
    return found


def known_sha256(state: ManifestState, memory: Path | None) -> str | None:
    """Return the digest of a file in this state, if it was ever computed."""
    if state not in _REMEMBERED and memory is not None:
        try:
            note = read_json(_note(memory, Path(state.path)))
        except DatasetError:
            return None
        if isinstance(note, dict) and {**note, **asdict(state)} == note and isinstance(note.get("sha256"), str):
            _REMEMBERED[state] = note["sha256"]
    return _REMEMBERED.get(state)


def digest_memory(settings: Settings) -> Path:
    """Return the folder in which digests of manifests are kept."""
    return settings.catalog_dir / ".digests"


def inbox_manifests(settings: Settings) -> list[Path]:
    """Return the manifest files of the inbox by name, without hidden ones; see `inbox.entries` for those left out."""
    found = settings.manifests_dir.iterdir() if settings.manifests_dir.is_dir() else ()
    named = (path for path in found if path.name.endswith(SUFFIXES) and not path.name.startswith("."))
    return sorted(path for path in named if _is_file(path) and not name_problem(path))


def resolve_manifest(settings: Settings, ref: str | Path) -> Path:
    """Return the manifest's file that `ref` means: a path, a name in the inbox, or a known key.

    Raises:
        ManifestError: No manifest is found; the message says what was looked for.
    """
    if not str(ref):
        raise ManifestError("No manifest was named", do="name a path, a file in the inbox, or a manifest key")
    inbox = settings.manifests_dir
    places = [Path(ref), *(inbox / f"{ref}{suffix}" for suffix in ("", *SUFFIXES))]
    for place in places:
        if _is_file(place):
            return place.absolute()
    found = _by_key(settings, str(ref))
    if found is not None:
        return found
    typed = typed_path(str(ref))
    if _is_file(typed):
        return typed.absolute()
    raise ManifestError(
        f"There is no manifest {str(ref)!r}",
        where=typed.absolute(),
        why=f"it is neither a file, nor one in {inbox}, nor the key of a catalog or of a manifest there",
        do=f"check the name; the inbox holds {_named(inbox_manifests(settings))}",
    )


def _by_key(settings: Settings, ref: str) -> Path | None:
    key, _ = split_limit(ref)
    candidates = [_recorded(settings, name) for name in dict.fromkeys((ref, key))]
    stem = key.rpartition("-")[0]
    candidates += inbox_manifests(settings)
    for path in candidates:
        if path is not None and path.is_file() and manifest_stem(path) == stem:
            sha256 = manifest_sha256(path, digest_memory(settings), remember=False)
            if key_of(path, sha256) == key:
                return path.absolute()
    return None


def _recorded(settings: Settings, key: str) -> Path | None:
    """The path that a catalog was made from."""
    try:
        return Path(read_json(settings.catalog_folder(key) / SUMMARY)["manifest"])
    except (DatasetError, KeyError, TypeError, OSError, ValueError):
        return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file can have
        return False


def _named(manifests: Sequence[Path]) -> str:
    names = [path.name for path in manifests]
    return ", ".join(names[:10]) + ("…" if len(names) > 10 else "") if names else "no manifest"


def _note(memory: Path, path: Path) -> Path:
    return memory / f"{hashlib.sha256(str(path).encode('utf-8', 'surrogateescape')).hexdigest()[:20]}.json"
