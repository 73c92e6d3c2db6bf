import contextlib
import dataclasses
import os
import shutil
import subprocess

import numpy as np
import polars as pl
import pytest
import soundfile as sf

from beatsight_core.audio.digests import content_digest
from beatsight_core.audio.file_search import NOT_MOUNTED
from beatsight_core.audio.inventory import build_inventory, open_inventory, survey_audio
from beatsight_core.errors import AudioError, DatasetError
from beatsight_core.leftovers import host_mark
from beatsight_core.manifest.read_manifest import build_catalog
from beatsight_core.progress import SilentProgress
from beatsight_core.settings import SourceSet


def row_of(inventory, path: str) -> dict:
    return inventory.files.row(by_predicate=pl.col("audio_path") == path, named=True)


def test_what_headers_say_is_in_the_table(settings, data_root, write_audio, catalog):
    write_audio(data_root / "raw/kits/a.flac", 4410)
    write_audio(data_root / "raw/kits/sub/b.wav", 4800, 48000, 2, "PCM_24")
    inventory = build_inventory(settings, catalog(("kits", "a.flac", 0.0), ("kits", "sub/b.wav", 0.05)))
    first, second = row_of(inventory, "a.flac"), row_of(inventory, "sub/b.wav")
    assert [first[name] for name in ("status", "sample_rate", "channels", "frames", "subtype")] == [
        "ok", 44100, 1, 4410, "PCM_16",
    ]  # fmt: skip
    assert [second[name] for name in ("status", "sample_rate", "channels", "frames", "subtype")] == [
        "ok", 48000, 2, 4800, "PCM_24",
    ]  # fmt: skip
    assert first["root"] == str(data_root / "raw/kits")
    assert first["size"] == (data_root / "raw/kits/a.flac").stat().st_size
    totals = inventory.to_json()
    assert (totals["files"], totals["ok"], totals["missing"], totals["unreadable"]) == (2, 2, 0, 0)
    assert totals["by_source"]["kits"]["sample_rates"] == {"44100": 1, "48000": 1}
    assert totals["by_source"]["kits"]["seconds"] == pytest.approx(0.2)


def test_each_loss_has_its_own_status_and_its_events_are_counted(settings, data_root, write_audio, catalog, tmp_path):
    raw = data_root / "raw/kits"
    write_audio(raw / "ok.wav")
    (raw / "text.wav").write_text("no audio")
    cut = write_audio(raw / "cut.wav")
    cut.write_bytes(cut.read_bytes()[:-100])
    write_audio(tmp_path / "outside.wav")
    (raw / "link.wav").symlink_to(tmp_path / "outside.wav")
    names = ("ok.wav", "text.wav", "cut.wav", "link.wav", "gone.wav")
    inventory = build_inventory(settings, catalog(*[("kits", name, onset) for name in names for onset in (0.0, 0.05)]))
    assert {name: row_of(inventory, name)["status"] for name in names} == {
        "ok.wav": "ok", "text.wav": "unreadable", "cut.wav": "ok", "link.wav": "unsafe", "gone.wav": "missing",
    }  # fmt: skip
    cut = row_of(inventory, "cut.wav")
    assert cut["message"] == "cut short: the header promises 4,410 frames, 4,360 are there"
    assert (cut["frames"], cut["promised"]) == (4360, 4410)
    totals = inventory.to_json()
    assert (totals["missing_events"], totals["unreadable_events"], totals["short"]) == (4, 2, 1)
    assert [(file["audio_path"], file["status"], file["events"]) for file in totals["lost_files"]] == [
        ("cut.wav", "past_end", 2), ("gone.wav", "missing", 2), ("link.wav", "unsafe", 2),
        ("text.wav", "unreadable", 2),
    ]  # fmt: skip
    assert [file["audio_path"] for file in totals["noted_files"]] == ["cut.wav"]


def test_two_drives_of_one_source_set(settings, data_root, write_audio, catalog, tmp_path):
    first, second = tmp_path / "c", tmp_path / "d"
    write_audio(first / "a.wav")
    write_audio(second / "b.wav")
    write_audio(second / "c.wav")
    settings = dataclasses.replace(settings, sources={"kits": SourceSet("kits", roots=(first, second, tmp_path / "e"))})
    inventory = build_inventory(settings, catalog(*[("kits", f"{name}.wav", 0.0) for name in "abc"]))
    totals = inventory.to_json()
    assert totals["by_source"]["kits"]["found_by_root"] == {str(first): 1, str(second): 2}
    assert [root["mounted"] for root in totals["roots"]] == [True, True, False]


def test_hits_and_events_past_the_end_are_counted_to_the_sample(settings, data_root, write_audio, catalog):
    write_audio(data_root / "raw/kits/a.wav", 4800, 48000)
    onsets = [0.0, 4799.4 / 48000, 4799.5 / 48000, 0.1, 0.2]  # the last three begin at or after sample 4800
    events = [("kits", "a.wav", onset) for onset in onsets]
    inventory = build_inventory(settings, catalog(*events))
    row = row_of(inventory, "a.wav")
    assert (row["events"], row["events_past_end"]) == (5, 3)
    assert (row["hits"], row["hits_past_end"]) == (3, 1)  # within 30 ms the first onset is the hit's


def test_a_source_set_without_any_root_is_said_once(settings, data_root, catalog, write_audio, tmp_path):
    write_audio(data_root / "raw/here/a.wav")
    away = SourceSet("away", roots=(tmp_path / "x", tmp_path / "y"))
    settings = dataclasses.replace(settings, sources={"away": away})
    events = [("away", f"{number}.wav", 0.0) for number in range(3)]
    inventory = build_inventory(settings, catalog(("here", "a.wav", 0.0), *events))
    assert set(inventory.of_source("away")["message"]) == {NOT_MOUNTED}
    assert inventory.unmounted("away") == (tmp_path / "x", tmp_path / "y")
    assert inventory.unmounted("here") == ()
    assert inventory.to_json()["missing_events"] == 3


def test_a_root_that_vanishes_half_way_is_an_error_about_that_root(settings, data_root, catalog, write_audio):
    write_audio(data_root / "raw/kits/a.wav")
    built = catalog(("kits", "a.wav", 0.0), ("kits", "b.wav", 0.0))

    class Vanishing:
        """A listener that unplugs the drive when it hears of the first file."""

        def task(self, *_, **__):
            return self

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def advance(self, *_, **__):
            shutil.rmtree(data_root / "raw", ignore_errors=True)

    with pytest.raises(AudioError, match=r"A root of kits vanished.*raw"):
        survey_audio(settings, built, progress=Vanishing())


def test_headers_are_remembered_while_size_and_time_stay(settings, data_root, write_audio, catalog):
    path = write_audio(data_root / "raw/kits/a.wav", 4410)
    built = catalog(("kits", "a.wav", 0.0))
    build_inventory(settings, built)
    state = path.stat()
    broken = bytes(state.st_size)
    path.write_bytes(broken)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert row_of(build_inventory(settings, built), "a.wav")["status"] == "ok"
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert row_of(build_inventory(settings, built), "a.wav")["status"] == "unreadable"


def test_a_broken_memory_is_only_forgotten(settings, data_root, write_audio, catalog):
    write_audio(data_root / "raw/kits/a.wav")
    built = catalog(("kits", "a.wav", 0.0))
    build_inventory(settings, built)
    (settings.catalog_dir / "audio/kits.parquet").write_text("rubbish")
    assert row_of(build_inventory(settings, built), "a.wav")["status"] == "ok"


def test_a_cut_flac_is_found_though_its_header_looks_whole(settings, data_root, write_audio, catalog):
    path = write_audio(data_root / "raw/kits/a.flac", 300_000)
    path.write_bytes(path.read_bytes()[:-1])
    row = row_of(build_inventory(settings, catalog(("kits", "a.flac", 0.0))), "a.flac")
    assert (row["status"], row["promised"]) == ("ok", 300_000)
    assert row["frames"] < 300_000
    assert row["message"].startswith("damaged: decoding ends after")


def test_a_deep_probe_finds_what_both_ends_hide(settings, data_root, write_audio, catalog):
    path = write_audio(data_root / "raw/kits/a.flac", 300_000)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 20_000] = bytes(20_000)
    path.write_bytes(data)
    built = catalog(("kits", "a.flac", 0.0))
    assert row_of(build_inventory(settings, built), "a.flac")["status"] == "ok"
    deep = row_of(build_inventory(settings, built, deep=True), "a.flac")
    assert deep["message"].startswith("damaged: decoding ends after")
    assert 100_000 < deep["frames"] < 150_000
    assert row_of(build_inventory(settings, built), "a.flac") == deep  # what was learned stays known


@pytest.mark.parametrize("fault", ["nan", "lies", "cut"])
def test_a_deep_probe_says_why_and_remembers_it_with_the_digest(settings, data_root, write_audio, catalog, fault):
    path = data_root / "raw/kits/a.wav"
    path.parent.mkdir(parents=True)
    samples = np.zeros(9000, np.float32)
    samples[4000] = np.nan if fault == "nan" else 0.5
    sf.write(path, samples, 44100, subtype="FLOAT")
    data = bytearray(path.read_bytes())
    if fault == "cut":
        path.write_bytes(data[:-400])
    if fault == "lies":  # twice as many frames as there are
        place = data.find(b"data") + 4
        data[place : place + 4] = (2 * 9000 * 4).to_bytes(4, "little")
        path.write_bytes(data)
    built = catalog(("kits", "a.wav", 0.0))
    row = row_of(build_inventory(settings, built, deep=True), "a.wav")
    assert row["status"] == ("unreadable" if fault == "nan" else "ok")
    assert ("not numbers" if fault == "nan" else "cut short") in row["message"]
    assert row["digest"] == content_digest(path.read_bytes())
    state = path.stat()
    path.write_bytes(bytes(state.st_size))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert row_of(build_inventory(settings, built, deep=True), "a.wav") == row


def test_what_a_deep_look_learned_is_kept_when_it_is_broken_off(settings, data_root, write_audio, catalog):
    for name in "abc":
        write_audio(data_root / f"raw/kits/{name}.wav")
    built = catalog(*[("kits", f"{name}.wav", 0.0) for name in "abc"])

    class Impatient(SilentProgress):
        @contextlib.contextmanager
        def task(self, name, total=None, unit=""):
            with super().task(name, total, unit) as task:
                task.advance = self.break_off
                yield task

        def break_off(self, *_, **__):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_inventory(settings, built, deep=True, progress=Impatient())
    shallow = build_inventory(settings, built)
    assert shallow.files["digest"].count() >= 1


def test_unexpected_rates_are_counted(settings, data_root, write_audio, catalog):
    write_audio(data_root / "raw/kits/a.wav")
    write_audio(data_root / "raw/kits/b.wav", rate=48000)
    settings = dataclasses.replace(settings, sources={"kits": SourceSet("kits", expected_sample_rate_hz=44100)})
    inventory = build_inventory(settings, catalog(("kits", "a.wav", 0.0), ("kits", "b.wav", 0.0)))
    assert inventory.to_json()["by_source"]["kits"]["unexpected_rate"] == 1


def test_an_inventory_is_opened_as_it_was_built(settings, data_root, write_audio, catalog):
    write_audio(data_root / "raw/kits/a.wav")
    built = catalog(("kits", "a.wav", 0.0), ("kits", "b.wav", 9.0))
    with pytest.raises(DatasetError, match=f"beatsight health {built.key}"):
        open_inventory(settings, built)
    inventory = build_inventory(settings, built)
    opened = open_inventory(settings, built)
    assert opened.to_json() == inventory.to_json()
    assert opened.files.equals(inventory.files)


def test_a_survey_without_memory_writes_nothing(settings, data_root, write_audio, catalog):
    write_audio(data_root / "raw/kits/a.wav")
    built = catalog(("kits", "a.wav", 0.0))
    before = sorted(data_root.rglob("*"))
    survey_audio(settings, built, deep=True, remember=False)
    assert sorted(data_root.rglob("*")) == before


def test_a_file_of_no_frames_cannot_be_used(settings, data_root, catalog):
    (data_root / "raw/kits").mkdir(parents=True)
    sf.write(data_root / "raw/kits/a.wav", np.zeros(0), 44100)
    inventory = build_inventory(settings, catalog(("kits", "a.wav", 0.0)))
    assert row_of(inventory, "a.wav")["status"] == "unreadable"


@pytest.mark.parametrize("name", ["../../secret", "..", "a/b", "/", "."])
def test_no_source_set_name_leads_out_of_the_roots(settings, data_root, write_audio, catalog, name):
    write_audio(data_root.parent / "secret/x.wav")
    (data_root / "raw").mkdir()
    for source_set in (name, str(data_root.parent / "secret")):
        inventory = build_inventory(settings, catalog((source_set, "x.wav", 0.0)))
        assert row_of(inventory, "x.wav")["status"] == "missing"
        assert {status.root for status in inventory.roots} <= {data_root / "raw"}
    written = {path.parent for path in settings.catalog_dir.rglob("*") if path.is_file()}
    assert all(path.is_relative_to(settings.catalog_dir) for path in written)


def test_the_inventory_goes_with_the_catalog_that_it_counted(settings, data_root, write_audio, catalog):
    write_audio(data_root / "raw/kits/a.wav")
    built = catalog(("kits", "a.wav", 0.0), ("kits", "a.wav", 0.01))
    assert build_inventory(settings, built).to_json()["hits"] == 1
    apart = dataclasses.replace(settings, sources={"kits": SourceSet("kits", coalesce_ms=1.0)})
    anew = build_catalog(apart, built.key)
    with pytest.raises(DatasetError, match="made anew since"):
        open_inventory(apart, anew)
    assert build_inventory(apart, anew).to_json()["hits"] == 2


def test_what_a_killed_writer_left_beside_the_inventory_is_removed(settings, catalog, write_audio):
    write_audio(settings.data_root / "raw/kits/a.wav")
    made = catalog(("kits", "a.wav", 0.0))
    build_inventory(settings, made)
    dead = subprocess.Popen(["true"])
    dead.wait()
    left = [
        path.with_name(f"{path.name}.tmp-{host_mark()}-{dead.pid}-00000000")
        for path in (made.folder / "inventory.parquet", settings.catalog_dir / "audio" / "kits.parquet")
    ]
    for path in left:
        path.write_bytes(b"half")
    build_inventory(settings, made)
    assert not [path for path in left if path.exists()]


def test_channels_that_cancel_show_at_a_glance_and_a_deep_look_hears_all(settings, data_root, catalog, noise):
    raw = data_root / "raw/kits"
    raw.mkdir(parents=True)
    one = noise(60_000)
    for name, silent in (("soon.wav", 100), ("late.wav", 30_000)):
        samples = one.copy()
        samples[:silent] = 0.0
        sf.write(raw / name, np.stack([samples, -samples], 1), 44100, subtype="PCM_24")
    sf.write(raw / "fine.wav", np.stack([one, np.roll(one, 5)], 1), 44100)
    built = catalog(*[("kits", name, 0.0) for name in ("soon.wav", "late.wav", "fine.wav")])
    for deep, opposed in ((False, ["soon.wav"]), (True, ["late.wav", "soon.wav"])):
        totals = build_inventory(settings, built, deep=deep).to_json()
        assert [file["audio_path"] for file in totals["noted_files"]] == opposed
        assert all("opposite polarity" in file["why"] for file in totals["noted_files"])
        assert (totals["opposed"], totals["ok"]) == (len(opposed), 3)


def test_an_inventory_of_an_earlier_version_can_be_opened(settings, data_root, write_audio, catalog):
    write_audio(data_root / "raw/kits/a.wav")
    built = catalog(("kits", "a.wav", 0.0), ("kits", "b.wav", 9.0))
    inventory = build_inventory(settings, built)
    path = built.folder / "inventory.parquet"
    pl.read_parquet(path).drop("promised", "spelt", "hidden_root", "onset_end").write_parquet(path)
    opened = open_inventory(settings, built)
    assert opened.files.equals(inventory.files)
    assert opened.to_json() == inventory.to_json()
