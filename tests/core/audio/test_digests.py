from beatsight_core.audio.digests import DigestMemory, FileState, content_digest

STATE = FileState("/raw", "a/x.wav", 10, 1_700_000_000_000_000_001)


def test_what_is_added_is_known_now_and_later(settings):
    memory = DigestMemory(settings, "kits")
    assert memory.get(STATE) is None
    memory.add([(STATE, content_digest(b"x"))])
    assert memory.get(STATE) == DigestMemory(settings, "kits").get(STATE) == content_digest(b"x")


def test_another_size_or_time_is_another_state(settings):
    memory = DigestMemory(settings, "kits")
    memory.add([(STATE, "d1")])
    assert memory.get(FileState(STATE.root, STATE.audio_path, 11, STATE.mtime_ns)) is None
    assert memory.get(FileState(STATE.root, STATE.audio_path, 10, STATE.mtime_ns + 1)) is None


def test_a_line_cut_by_a_crash_costs_only_itself(settings):
    DigestMemory(settings, "kits").add([(STATE, "d1")])
    (file,) = (settings.catalog_dir / "audio").iterdir()
    with file.open("ab") as handle:
        handle.write(b'["/raw","b.wav",10')
    other = FileState("/raw", "c.wav", 1, 2)
    DigestMemory(settings, "kits").add([(other, "d2")])
    memory = DigestMemory(settings, "kits")
    assert (memory.get(STATE), memory.get(other)) == ("d1", "d2")


def test_the_later_line_holds_and_known_ones_are_not_repeated(settings):
    memory = DigestMemory(settings, "kits")
    memory.add([(STATE, "d1")])
    memory.add([(STATE, "d2")])
    (file,) = (settings.catalog_dir / "audio").iterdir()
    size = file.stat().st_size
    memory.add([(STATE, "d2")])
    assert file.stat().st_size == size
    assert DigestMemory(settings, "kits").get(STATE) == "d2"


def test_a_source_set_with_a_hostile_name_stays_in_its_folder(settings):
    DigestMemory(settings, "../../up").add([(STATE, "d1")])
    assert [path.parent for path in settings.data_root.rglob("*.jsonl")] == [settings.catalog_dir / "audio"]
