"""A note of what was made, so that making the same corpus again costs nothing and notices what was touched since."""

from pathlib import Path

import orjson

from beatsight_core.files import digest_bytes, sha256_file, write_json
from beatsight_core.typed_json import JsonObject

RECEIPT = "raw/demo_corpus.json"


def write_receipt(
    root: Path, made_from: JsonObject, manifest: Path, audio: list[Path], summary: JsonObject, name: str = RECEIPT
) -> None:
    """Write a note of the inputs, the manifest's digest, every file's size, and a summary."""
    note = {
        "made_from": {**made_from, "program": program_digest()},
        "manifest_sha256": sha256_file(manifest),
        "sizes": _sizes(root, audio),
        "summary": summary,
    }
    write_json(root / name, note)


def read_receipt(root: Path, made_from: JsonObject, manifest: Path, name: str = RECEIPT) -> JsonObject | None:
    """Return the summary of what is there, or None if it is not what would be made now."""
    try:
        note = orjson.loads((root / name).read_bytes())
        wanted = {**made_from, "program": program_digest()}
        untouched = note["made_from"] == wanted and note["manifest_sha256"] == sha256_file(manifest)
        there = untouched and note["sizes"] == _sizes(root, [root / path for path in note["sizes"]])
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
        return None
    summary: JsonObject = note["summary"]
    return summary if there else None


def program_digest() -> str:
    """Return the digest of the code that makes what is played: other code, another corpus."""
    core = Path(__file__).resolve().parents[1]
    rooms = ("demo", "recast", "synthesis")
    return digest_bytes(*(path.read_bytes() for room in rooms for path in sorted((core / room).glob("*.py"))))


def _sizes(root: Path, paths: list[Path]) -> dict[str, int]:
    return {path.relative_to(root).as_posix(): path.stat().st_size for path in sorted(paths)}
