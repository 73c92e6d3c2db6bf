"""The file that holds one shard's features: written whole or not at all, mapped into memory, never trusted unseen.

It is in the safetensors layout, so any tool that knows it can open one: 8 bytes of header length, a JSON header, then
the arrays `features` (rows, n_mels, frames), `targets` (rows, classes) of 0 and 1 in class order, and `hit_ids`
(rows, 20) of ASCII. The header's `__metadata__` names the spec, how stored numbers become decibels, the shard, the
classes, and a digest over all of it.
Headers are written in one way only, so a header that differs from what its own metadata would give is a broken one.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from beatsight_core.errors import DatasetError
from beatsight_core.features.spec import FeatureSpec, StoredArray
from beatsight_core.files import digest_bytes, put_if_absent, storage_errors
from beatsight_core.settings import Settings
from beatsight_core.taxonomy import Taxonomy

FORMAT = "beatsight-features/2"
SUFFIX = ".safetensors"
HIT_ID_CHARACTERS = 20
REBUILD = "build the features again: beatsight features"

_DTYPES = {"float16": "F16", "uint8": "U8"}
_LONGEST_HEADER = 1 << 20

Bytes = npt.NDArray[np.uint8]
Shapes = dict[str, tuple[np.dtype[np.float16 | np.uint8], tuple[int, ...]]]


@dataclass(frozen=True)
class ShardFeatures:
    """The features of one shard.

    Attributes:
        path: Path of the file.
        features: Spectrograms (rows, n_mels, frames) as stored, memory-mapped.
        targets: Targets (rows, classes) of 0 and 1, memory-mapped.
        hit_ids: Hit ids (rows, 20) in ASCII, memory-mapped.
    """

    path: Path
    features: StoredArray
    targets: npt.NDArray[np.uint8]
    hit_ids: npt.NDArray[np.uint8]


def write_shard(path: Path, identity: dict[str, str], features: StoredArray, targets: Bytes, hit_ids: Bytes) -> bool:
    """Put a shard's features in the cache, whole or not at all.

    Args:
        path: Path of the file.
        identity: Metadata from `shard_identity`.
        features: Spectrograms (rows, n_mels, frames) in the spec's storage.
        targets: Targets (rows, classes) of 0 and 1.
        hit_ids: Hit ids (rows, 20) in ASCII.

    Returns:
        Whether this call wrote it; another process may have been first.

    Raises:
        StorageError: The drive is full, read-only, or gone.
    """
    arrays: dict[str, StoredArray] = {"features": features, "targets": targets, "hit_ids": hit_ids}
    parts = [_flat(array) for array in arrays.values()]
    metadata = {**identity, "digest": _content_digest(identity, parts)}
    header = _header(metadata, {name: (array.dtype, array.shape) for name, array in arrays.items()})

    def write(temporary: Path) -> None:
        with temporary.open("wb") as handle:
            handle.write(header)
            for part in parts:
                handle.write(part.data)

    return put_if_absent(path, write)


def shard_path(settings: Settings, spec: FeatureSpec, taxonomy: Taxonomy, shard_digest: str) -> Path:
    """Return the file of a shard's features."""
    folder = settings.cache_dir / spec.digest
    return folder / f"{shard_digest}.{taxonomy.name}-{taxonomy.version}{SUFFIX}"


def shard_identity(spec: FeatureSpec, taxonomy: Taxonomy, shard_digest: str, rows: int) -> dict[str, str]:
    """Return what a file must say about itself, in safetensors' text-only metadata."""
    return {
        "format": FORMAT,
        "spec": _compact(spec.to_json()),
        "decibels": _compact(dict(zip(("scale", "offset"), spec.decoding, strict=True))),
        "spec_digest": spec.digest,
        "shard": shard_digest,
        "taxonomy": _compact(taxonomy.identity),
        "rows": str(rows),
    }


def open_shard(path: Path, spec: FeatureSpec, identity: dict[str, str], *, verify: bool = False) -> ShardFeatures:
    """Map a shard's features into memory.

    Args:
        path: Path of the file.
        spec: Feature spec that `identity` was made from.
        identity: Metadata from `shard_identity`.
        verify: Request to read all of it and to compare its digest too.

    Raises:
        DatasetError: The file is missing, cut short, or not what its name and its header say.
    """
    with storage_errors(path):
        if not path.is_file():
            raise DatasetError("The features of a shard are missing", where=path, do=REBUILD)
        size = path.stat().st_size
        with path.open("rb") as handle:
            length = int.from_bytes(handle.read(8), "little")
            raw = handle.read(min(length, _LONGEST_HEADER))
    metadata = _metadata(path, raw)
    wrong = sorted(name for name, value in identity.items() if metadata.get(name) != value)
    if wrong:
        raise DatasetError(
            "Features are not those of this shard", where=path, why=f"{', '.join(wrong)} differ", do=REBUILD
        )
    shapes = _shapes(spec, identity)
    header = _header(metadata, shapes)
    expected = len(header) + sum(_bytes(*shape) for shape in shapes.values())
    if header[8:] != raw or size != expected:
        why = f"{size} bytes, {expected} expected" if size != expected else "its header is damaged"
        raise DatasetError("The features of a shard are broken", where=path, why=why, do=REBUILD)
    arrays = _map(path, shapes, len(header))
    if verify and metadata["digest"] != _content_digest(identity, [_flat(array) for array in arrays]):
        raise DatasetError("The features of a shard are broken", where=path, why="its digest differs", do=REBUILD)
    return ShardFeatures(path, *arrays)


def _shapes(spec: FeatureSpec, identity: dict[str, str]) -> Shapes:
    rows, classes = int(identity["rows"]), len(json.loads(identity["taxonomy"])["components"])
    byte = np.dtype(np.uint8)
    return {
        "features": (spec.dtype, (rows, spec.n_mels, spec.frames)),
        "targets": (byte, (rows, classes)),
        "hit_ids": (byte, (rows, HIT_ID_CHARACTERS)),
    }


def _bytes(dtype: np.dtype[np.float16 | np.uint8], shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64)) * dtype.itemsize


def _header(metadata: dict[str, str], arrays: Shapes) -> bytes:
    """Return the header's length and the header, padded so that the arrays begin at a multiple of 64 bytes."""
    entries: dict[str, Any] = {"__metadata__": metadata}
    offset = 0
    for name, (dtype, shape) in arrays.items():
        end = offset + _bytes(dtype, shape)
        entries[name] = {"dtype": _DTYPES[dtype.name], "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(entries, separators=(",", ":")).encode("utf-8")
    text += b" " * (-(len(text) + 8) % 64)
    return len(text).to_bytes(8, "little") + text


def _metadata(path: Path, raw: bytes) -> dict[str, str]:
    try:
        header = json.loads(raw)
        metadata = {str(name): str(value) for name, value in header["__metadata__"].items()}
        return {**metadata, "digest": metadata["digest"]}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DatasetError("The features of a shard are broken", where=path, why="no header", do=REBUILD) from error


def _map(path: Path, shapes: Shapes, offset: int) -> list[npt.NDArray[Any]]:
    with storage_errors(path):
        whole = np.memmap(path, dtype=np.uint8, mode="r")
    arrays = []
    for dtype, shape in shapes.values():
        size = _bytes(dtype, shape)
        arrays.append(whole[offset : offset + size].view(dtype).reshape(shape))
        offset += size
    return arrays


def _flat(array: StoredArray) -> Bytes:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _content_digest(identity: dict[str, str], parts: list[Bytes]) -> str:
    return digest_bytes(_compact(identity).encode(), *(part.data for part in parts))


def _compact(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
