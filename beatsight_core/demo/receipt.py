"""A note of what was made, so that making the same corpus again costs nothing and notices what was touched since."""

from pathlib import Path
from typing import Any

import orjson

from beatsight_core.files import digest_bytes, sha256_file, write_json

RECEIPT = "raw/demo_corpus.json"


def write_receipt(data_root: Path, made_from: dict[str, Any], manifest: Path, audio: list[Path], summary: Any) -> None:
    """Note the inputs, the manifest's digest, every file's size, and a summary."""
    note = {
        "made_from": {**made_from, "program": program_digest()},
        "manifest_sha256": sha256_file(manifest),
        "sizes": _sizes(data_root, audio),
        "summary": summary,
    }
    write_json(data_root / RECEIPT, note)


def read_receipt(data_root: Path, made_from: dict[str, Any], manifest: Path) -> Any:
    """The summary of what is there, or None if it is not what would be made now."""
    try:
        note = orjson.loads((data_root / RECEIPT).read_bytes())
        wanted = {**made_from, "program": program_digest()}
        untouched = note["made_from"] == wanted and note["manifest_sha256"] == sha256_file(manifest)
        there = untouched and note["sizes"] == _sizes(data_root, [data_root / name for name in note["sizes"]])
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return note["summary"] if there else None


def program_digest() -> str:
    """The digest of the code that makes the corpus: other code, another corpus."""
    return digest_bytes(*(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))))


def _sizes(data_root: Path, paths: list[Path]) -> dict[str, int]:
    return {path.relative_to(data_root).as_posix(): path.stat().st_size for path in sorted(paths)}
