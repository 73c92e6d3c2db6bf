from beatsight_core.manifest.identity import inbox_manifests


def test_only_manifests_are_in_the_inbox(settings):
    assert inbox_manifests(settings) == []
    settings.manifests_dir.mkdir(parents=True)
    for name in ("b.jsonl", "a.jsonl.zst", ".hidden.jsonl", "notes.txt", "c.jsonl.part"):
        (settings.manifests_dir / name).touch()
    (settings.manifests_dir / "folder.jsonl").mkdir()
    assert [path.name for path in inbox_manifests(settings)] == ["a.jsonl.zst", "b.jsonl"]
