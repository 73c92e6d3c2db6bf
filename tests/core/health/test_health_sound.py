"""How clips sound: planted faults are found, and each fails its own gate only."""

import shutil

import numpy as np
import orjson
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.dataset import export
from beatsight_core.dataset.export import export_dataset
from beatsight_core.errors import DatasetError
from beatsight_core.health.figures import sound_figures as figures_of
from beatsight_core.health.figures import sound_measures as measures
from beatsight_core.health.figures.near_duplicates import CLOSE_DB
from beatsight_core.health.report import run_health
from beatsight_core.manifest.splits import split_of_group
from beatsight_core.settings import load_settings

RATE = 16000
ONSET = 1280
QUIET = 0.0003


def stroke(rng, seconds=0.12):
    """A burst of noise that dies away, each another one."""
    time = np.arange(int(seconds * RATE)) / RATE
    body = np.sin(2 * np.pi * rng.uniform(150, 1500) * time) + 0.5 * rng.normal(size=len(time))
    return body * np.exp(-time * rng.uniform(25, 60)) * 0.4


@pytest.fixture
def played(small_settings, corpus, drums):
    """Write a manifest of sessions and their audio, each stroke where its label says or `late_ms` after; export it."""

    def play(sessions="abc", *, late_ms=0.0, seed=0, change=lambda session, audio: audio, own=small_settings):
        manifest = corpus([row for name in sessions for row in drums.take(name)])
        rng = np.random.default_rng(seed)
        for name in sessions:
            audio = rng.normal(0, 0.0001, 5 * RATE)
            for row in drums.take(name):
                start = round((row["onset_time"] + late_ms / 1000) * RATE)
                sound = stroke(rng)
                audio[start : start + len(sound)] += sound
            path = own.data_root / "raw/takes" / f"{name}.wav"
            sf.write(path, np.clip(change(name, audio), -1, 1), RATE, subtype="PCM_16")
        export_dataset(own, manifest, workers=1)
        return manifest

    return play


def judged(own, manifest):
    """Figures of the sound, and the names of failed gates."""
    result = run_health(own, manifest)
    report = orjson.loads(result.report_json.read_bytes())
    return report["statistics"]["sound"], [gate.name for gate in result.failed]


@pytest.mark.parametrize("late_ms", [0, 20, -20, 45])
def test_a_corpus_that_is_late_shows_by_how_much(small_settings, played, late_ms):
    sound, failed = judged(small_settings, played(late_ms=late_ms))
    alignment = sound["by_source"]["takes"]["alignment"]
    assert alignment["strokes"] == 36
    assert alignment["median_ms"] == pytest.approx(late_ms, abs=2)
    assert sum(alignment["counts"]) == 36
    assert failed == (["misalignment of takes, ms", "sessions of takes out of time"] if late_ms else [])


@pytest.mark.parametrize("late_ms", [70, -100])
def test_a_corpus_that_is_too_late_to_be_measured_fails_all_the_same(small_settings, played, late_ms):
    manifest = played(late_ms=late_ms)
    sound, failed = judged(small_settings, manifest)
    alignment = sound["by_source"]["takes"]["alignment"]
    assert (alignment["alone"], alignment["strokes"], alignment["median_ms"]) == (36, 0, None)
    assert failed[0] == "misalignment of takes, ms"
    page = run_health(small_settings, manifest).report_html.read_text()
    assert "Only 0 of 36 strokes of takes that stand alone begin within 60 ms of their label" in page


def test_a_data_root_may_be_named_like_a_pattern(small_settings, played, tmp_path):
    played()
    root = tmp_path / "what [is] *this*?"
    for name in ("manifests", "raw"):
        shutil.copytree(small_settings.data_root / name, root / name)
    shutil.copy(small_settings.data_root / "beatsight.toml", root)
    own = load_settings(root, {})
    manifest = root / "manifests" / "small.jsonl"
    export_dataset(own, manifest, workers=1)
    sound, failed = judged(own, manifest)
    assert (sound["measured"], failed) == (36, [])


def test_the_page_says_how_late_a_source_is_and_what_to_do(small_settings, played):
    page = run_health(small_settings, played(late_ms=20)).report_html.read_text()
    assert "ms late: the middle of 36 strokes" in page
    assert "shift the onsets of its labels" in page


@settings(max_examples=25, deadline=None)
@given(st.integers(-45, 45), st.floats(0.05, 0.9), st.integers(0, 99))
def test_an_attack_is_found_wherever_it_lies_and_however_loud_it_is(shift_ms, gain, seed):
    rng = np.random.default_rng(seed)
    clip = rng.normal(0, 0.0003, 4480)
    start = ONSET + round(shift_ms / 1000 * RATE)
    sound = stroke(rng)
    clip[start : start + len(sound)] += gain * sound / np.abs(sound).max()
    clips = np.rint(32767 * np.clip(clip, -1, 1)).astype(np.int16)[None]
    assert measures.attack_ms(clips, ONSET, RATE)[0] == pytest.approx(shift_ms, abs=2)


def test_where_no_stroke_begins_nothing_is_measured():
    rng = np.random.default_rng(0)
    noise = np.rint(3000 * rng.normal(size=(1, 4480))).astype(np.int16)
    silence = np.zeros((1, 4480), np.int16)
    assert np.isnan(measures.attack_ms(np.concatenate([noise, silence]), ONSET, RATE)).all()
    assert np.isnan(measures.attack_ms(noise, -1, RATE)).all()  # nobody knows where its onset is
    assert np.isnan(measures.attack_ms(noise[:, :40], 10, RATE)).all()  # too short to tell


FAULTS = {
    "clipped clips of takes": lambda audio: 40 * audio,
    "clips of takes with an offset": lambda audio: 0.05 + 0.5 * audio,
    "clips of takes that are nearly silent": lambda audio: QUIET * audio / np.abs(audio).max(),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_fails_its_own_gate_and_counts_the_clips_it_is_in(small_settings, played, name):
    def change(session, audio):
        return FAULTS[name](audio) if session == "b" else audio

    manifest = played(change=change)
    result = run_health(small_settings, manifest)
    assert [gate.name for gate in result.failed] == [name]
    (gate,) = result.failed
    assert gate.value == pytest.approx(12 / 36)
    assert "12 of 36" in gate.message


def test_limits_of_sound_are_settings(small_settings, played, data_root):
    manifest = played(late_ms=8, change=lambda session, audio: 40 * audio if session == "b" else audio)
    file = data_root / "beatsight.toml"
    text = file.read_text()
    file.write_text(text.replace("[gates]\n", "[gates]\nmax_clipped_rate = 0.34\n"))
    assert run_health(load_settings(data_root, {}), manifest).passed
    file.write_text(text.replace("[gates]\n", "[gates]\nmax_clipped_rate = 0.34\nmax_misalignment_ms = 5\n"))
    failed = run_health(load_settings(data_root, {}), manifest).failed
    assert [gate.name for gate in failed] == ["misalignment of takes, ms", "sessions of takes out of time"]


def split_names(own, split, count):
    names = (f"{letter}{number}" for number in range(200) for letter in "pq")
    return [name for name in names if split_of_group(name, own.dataset) == split][:count]


def test_a_recording_under_two_names_is_found_on_both_sides_of_the_split(small_settings, played):
    (val,) = split_names(small_settings, "val", 1)
    train = split_names(small_settings, "train", 3)
    manifest = played([*train, val])
    before = judged(small_settings, manifest)[0]["near_duplicates"]
    assert (before["compared"], before["val"], before["val_near_training"], before["near"]) == (48, 12, 0, 0)
    audio, _ = sf.read(small_settings.data_root / f"raw/takes/{train[1]}.wav")
    sf.write(small_settings.data_root / f"raw/takes/{val}.wav", 0.7 * audio, RATE, subtype="PCM_16")  # quieter
    export_dataset(small_settings, manifest, workers=1)
    after, failed = judged(small_settings, manifest)
    after = after["near_duplicates"]
    assert (after["val_near_training"], after["near"]) == (12, 24)
    pair = after["examples"][0]
    assert (pair["val"]["session_id"], pair["training"]["session_id"]) == (val, train[1])
    assert pair["distance_db"] < CLOSE_DB
    assert failed == []  # told, not judged


@settings(max_examples=20, deadline=None)
@given(st.floats(0.1, 1.0), st.integers(0, 99))
def test_gain_hardly_shows_in_a_print(gain, seed):
    clip = np.zeros((1, 4480))
    sound = stroke(np.random.default_rng(seed))
    clip[0, ONSET : ONSET + len(sound)] += sound
    loud, soft = (np.rint(20000 * part * clip).astype(np.int16) for part in (1, gain))
    apart = np.abs(measures.prints(loud, RATE).astype(int) - measures.prints(soft, RATE).astype(int))
    assert np.sqrt((apart**2).mean()) * measures.PRINT_STEP_DB < CLOSE_DB


def test_what_was_measured_is_kept_and_measured_again_if_it_is_broken(small_settings, played):
    manifest = played()
    first = figures_of.sound_figures(small_settings, manifest_key(manifest))
    kept = list((small_settings.catalog_dir / "sounds").rglob("*.parquet"))
    assert kept
    for file in kept:
        file.write_bytes(b"not parquet")
    assert figures_of.sound_figures(small_settings, manifest_key(manifest)) == first
    shutil.rmtree(small_settings.shards_dir)  # the sounds are not looked at again
    assert figures_of.sound_figures(small_settings, manifest_key(manifest)) == first
    shutil.rmtree(small_settings.catalog_dir / "sounds")
    with pytest.raises(DatasetError, match="--heal"):
        figures_of.sound_figures(small_settings, manifest_key(manifest))


def manifest_key(manifest):
    from beatsight_core.manifest.identity import manifest_key as key

    return key(manifest)


def test_a_sample_is_capped_seeded_and_said(data_root, small_settings, played, monkeypatch):
    file = data_root / "beatsight.toml"
    file.write_text(file.read_text().replace("[dataset]\n", "[dataset]\nunit_hits = 12\n"))
    own = load_settings(data_root, {})
    manifest = played("abcdef", own=own)
    monkeypatch.setattr(figures_of, "CLIPS_PER_SOURCE", 20)
    sound = judged(own, manifest)[0]
    assert (sound["measured"], sound["of"]) == (24, 72)
    assert judged(own, manifest)[0] == sound
    assert "24 of 72" in run_health(own, manifest).report_html.read_text()


def test_clips_of_any_length_and_encoding_are_measured(data_root, small_settings, played):
    file = data_root / "beatsight.toml"
    file.write_text(file.read_text().replace("[dataset]\n", '[dataset]\nencoding = "flac"\nfixed_length = false\n'))
    own = load_settings(data_root, {})
    sound = judged(own, played(late_ms=20, own=own))[0]["by_source"]["takes"]
    assert sound["measured"] == 36
    assert sound["alignment"]["median_ms"] == pytest.approx(20, abs=2)


def test_before_an_export_nothing_is_heard_and_nothing_fails(small_settings, corpus, drums):
    sound, failed = judged(small_settings, corpus(drums.take("a")))
    assert sound is None
    assert failed == []


def test_an_export_without_a_clip_has_a_report(small_settings, corpus, drums, monkeypatch):
    manifest = corpus(drums.take("a"), without=("a.wav",))
    (small_settings.data_root / "raw/takes").mkdir(parents=True)
    monkeypatch.setattr(export, "require_clips", lambda *_: None)  # as earlier versions left it
    export_dataset(small_settings, manifest, workers=1)
    sound, failed = judged(small_settings, manifest)
    assert (sound["measured"], sound["of"], sound["near_duplicates"]["compared"]) == (0, 0, 0)
    assert "hits without a clip" in failed
    assert not any("takes" in name and "clips" in name and "silent" in name for name in failed)


def test_one_clip_is_near_no_other(small_settings, corpus, drums):
    manifest = corpus([drums.event("a", 1, 0.5, "kick")])
    export_dataset(small_settings, manifest, workers=1)
    sound, _ = judged(small_settings, manifest)
    assert (sound["near_duplicates"]["compared"], sound["near_duplicates"]["near"]) == (1, 0)
