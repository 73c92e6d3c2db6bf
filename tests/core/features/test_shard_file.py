import dataclasses
import json

import numpy as np
import pytest
from safetensors import safe_open

from beatsight_core.errors import DatasetError
from beatsight_core.features.shard_file import open_shard, shard_identity, write_shard
from beatsight_core.taxonomy import CORE

SHARD = "ab" * 20


@pytest.fixture
def written(tmp_path, tiny_spec):
    random = np.random.default_rng(0)
    features = (random.random((5, 16, 6)) * -80).astype(np.float16)
    targets = (random.random((5, 18)) < 0.2).astype(np.uint8)
    hit_ids = np.frombuffer(b"0123456789abcdef0123" * 5, dtype=np.uint8).reshape(5, 20)
    identity = shard_identity(tiny_spec, CORE, SHARD, 5)
    path = tmp_path / f"{SHARD}.core-1.safetensors"
    assert write_shard(path, identity, features, targets, hit_ids)
    return path, identity, (features, targets, hit_ids)


def test_round_trip_is_memory_mapped(written, tiny_spec):
    path, identity, arrays = written
    opened = open_shard(path, tiny_spec, identity, verify=True)
    for got, expected in zip((opened.features, opened.targets, opened.hit_ids), arrays, strict=True):
        assert got.dtype == expected.dtype
        assert np.array_equal(got, expected)
        assert not got.flags.writeable
        assert isinstance(got, np.memmap)


def test_other_tools_can_open_it(written):
    path, identity, arrays = written
    with safe_open(path, "numpy") as file:
        assert np.array_equal(file.get_tensor("features"), arrays[0])
        assert np.array_equal(file.get_tensor("targets"), arrays[1])
        metadata = file.metadata()
    assert metadata.items() >= identity.items()
    assert json.loads(metadata["taxonomy"])["components"] == list(CORE.components)


def test_the_second_writer_leaves_the_first_ones_file(written):
    path, identity, arrays = written
    before = path.stat().st_mtime_ns
    assert not write_shard(path, identity, *arrays)
    assert path.stat().st_mtime_ns == before


def test_a_short_file_is_found_on_open(written, tiny_spec):
    path, identity, _ = written
    whole = path.read_bytes()
    for length in (0, 4, 8, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DatasetError):
            open_shard(path, tiny_spec, identity)
    path.write_bytes(whole + b"x")
    with pytest.raises(DatasetError, match="bytes"):
        open_shard(path, tiny_spec, identity)


def test_a_header_of_lists_in_lists_is_a_broken_one(written, tiny_spec):
    path, identity, _ = written
    path.write_bytes(b"[" * 50_000)
    with pytest.raises(DatasetError, match="no header"):
        open_shard(path, tiny_spec, identity)


def test_every_flipped_byte_is_found(written, tiny_spec):
    path, identity, _ = written
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        broken = bytearray(whole)
        broken[place] ^= 0x10
        path.write_bytes(broken)
        with pytest.raises(DatasetError):
            open_shard(path, tiny_spec, identity, verify=True)


def test_a_file_of_another_spec_or_shard_is_refused(written, tiny_spec):
    path, identity, _ = written
    other = dataclasses.replace(tiny_spec, f_max_hz=3000.0)
    with pytest.raises(DatasetError, match="spec, spec_digest differ"):
        open_shard(path, other, shard_identity(other, CORE, SHARD, 5))
    with pytest.raises(DatasetError, match="shard differ"):
        open_shard(path, tiny_spec, {**identity, "shard": "cd" * 20})


def test_a_missing_file_is_a_dataset_error(tmp_path, tiny_spec):
    with pytest.raises(DatasetError, match="missing"):
        open_shard(tmp_path / "nothing", tiny_spec, shard_identity(tiny_spec, CORE, SHARD, 5))
