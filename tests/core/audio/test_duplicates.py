import shutil

import polars as pl

from beatsight_core.audio.inventory import build_inventory, open_inventory
from beatsight_core.audio.same_content import copied_files


def test_copies_are_found_within_and_across_source_sets(settings, data_root, write_audio, catalog):
    raw = data_root / "raw"
    first = write_audio(raw / "kits/a.wav")
    write_audio(raw / "kits/other.wav", 4411)
    for copy in ("kits/b.wav", "kits/sub/c.wav", "more/d.wav"):
        (raw / copy).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(first, raw / copy)
    built = catalog(
        ("kits", "a.wav", 0.0), ("kits", "a.wav", 0.05), ("kits", "b.wav", 0.0), ("kits", "other.wav", 0.0),
        ("kits", "sub/c.wav", 0.0), ("more", "d.wav", 0.0),
    )  # fmt: skip
    shallow = build_inventory(settings, built).to_json()["duplicates"]
    assert (shallow["known"], shallow["extra_files"]) == (0, 0)
    found = build_inventory(settings, built, deep=True).to_json()["duplicates"]
    assert (found["known"], found["extra_files"], found["extra_events"], found["across_sources"]) == (5, 3, 3, 1)
    assert found["by_source"] == {"kits": 2}
    (group,) = found["groups"]
    assert group["files"] == ["kits/a.wav", "kits/b.wav", "kits/sub/c.wav", "more/d.wav"]
    assert group["events"] == 5
    again = build_inventory(settings, built)
    assert again.to_json()["duplicates"] == found  # digests are remembered
    assert open_inventory(settings, built).to_json()["duplicates"] == found


def test_files_without_a_digest_are_no_copies_of_each_other():
    files = pl.DataFrame(
        {"source_set": ["a", "a"], "audio_path": ["x", "y"], "events": [1, 1], "digest": [None, None]},
        schema_overrides={"digest": pl.String},
    )
    assert copied_files(files).groups == ()
