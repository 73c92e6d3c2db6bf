import os
import time

import pytest

from beatsight_core.errors import ManifestError
from beatsight_core.files import exclusive_lock
from beatsight_core.manifest import identity
from beatsight_core.manifest.identity import (
    ManifestState,
    digest_memory,
    inbox_manifests,
    known_sha256,
    manifest_sha256,
)
from beatsight_core.manifest.inbox import digest_process
from beatsight_core.names import file_name


def test_only_manifests_are_in_the_inbox(settings):
    assert inbox_manifests(settings) == []
    settings.manifests_dir.mkdir(parents=True)
    for name in ("b.jsonl", "a.jsonl.zst", ".hidden.jsonl", "notes.txt", "c.jsonl.part"):
        (settings.manifests_dir / name).touch()
    (settings.manifests_dir / "folder.jsonl").mkdir()
    assert [path.name for path in inbox_manifests(settings)] == ["a.jsonl.zst", "b.jsonl"]


def test_a_file_whose_time_lies_ahead_is_remembered_if_it_was_still_while_it_was_read(settings, tmp_path, monkeypatch):
    path, memory = tmp_path / "m.jsonl", digest_memory(settings)
    path.write_text("{}\n")
    os.utime(path, (time.time() + 7200, time.time() + 7200))
    manifest_sha256(path, memory)
    assert known_sha256(ManifestState.of(path), memory) is None
    monkeypatch.setattr(identity, "SETTLED_S", 0.0)  # as if reading had taken longer than the real limit
    found = manifest_sha256(path, memory)
    assert known_sha256(ManifestState.of(path), memory) == found


def test_a_process_of_its_own_leaves_the_digest_where_all_look_for_it(settings, tmp_path, capsys):
    path, memory = tmp_path / "m.jsonl", digest_memory(settings)
    path.write_text("{}\n")
    os.utime(path, (1e9, 1e9))
    with exclusive_lock(memory / ".reading" / file_name("m.jsonl")):  # another process is at it
        assert digest_process.main([str(path), str(memory)]) == 0
    assert known_sha256(ManifestState.of(path), memory) is None
    assert digest_process.main([str(path), str(memory)]) == 0
    assert known_sha256(ManifestState.of(path), memory) == manifest_sha256(path)
    assert digest_process.main([str(tmp_path / "nowhere"), str(memory)]) == 3
    assert "There is no such manifest" in capsys.readouterr().err
    with pytest.raises(ManifestError):
        manifest_sha256(tmp_path / "nowhere")
