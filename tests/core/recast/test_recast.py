"""Recasting: who plays, what is labelled, where it goes, and what a second call does."""

import dataclasses
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from beatsight_core.cli.main import beatsight
from beatsight_core.errors import ManifestError, SettingsError, StorageError, UsageError
from beatsight_core.manifest.merge import merge_manifests
from beatsight_core.manifest.read_manifest import build_catalog
from beatsight_core.recast.exchange import RELATED, Exchange, HitComponent
from beatsight_core.recast.pieces import PIECE_S, RATE_HZ, Casting, Hit, Score, spelling_in
from beatsight_core.recast.recast import recast_manifest
from beatsight_core.recast.rendition import Rendition
from beatsight_core.settings import DatasetSettings, load_settings
from beatsight_core.synthesis.kit import TAKES
from beatsight_core.taxonomy import CORE, EXTENDED

KILLED = """
import contextlib, os, signal, sys
from beatsight_core.recast.recast import recast_manifest
from beatsight_core.progress import SilentProgress
from beatsight_core.settings import load_settings

class Deadly(SilentProgress):
    @contextlib.contextmanager
    def task(self, name, total=None, unit=""):
        with super().task(name, total, unit) as task:
            yield Counting() if name == "Recast" else task

class Counting:
    left = 3
    def advance(self, *_, **__):
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)

recast_manifest(load_settings(sys.argv[1]), "song.jsonl", rounds=1, progress=Deadly())
"""


def write_manifest(root, hits=None, *, sessions=6, name="song", spacing_s=0.25):
    """Sessions of one pattern, the first of which validates; no audio, which recasting does not need."""
    hits = hits or [["kick", "hihat_closed"], ["hihat_closed"], ["snare"], ["kick"]]
    lines = [
        {
            "event_id": f"{name}-{session}-{number}",
            "session_id": f"tune session {session}",
            "source_set": "studio",
            "audio_path": f"{session:02d}.wav",
            "onset_time": round(3.0 + spacing_s * number, 6),
            "components": [{"label": label, "velocity": 0.3 + 0.1 * (number % 5)} for label in labels],
            "drummer_id": f"drummer {session % 3}",
            "tempo_bpm": 120.0,
            "meter": "4/4",
            "bar_index": number // 4,
            "techniques": ["flam", "variable_meter"],
        }
        for session in range(sessions)
        for number, labels in enumerate(hits * 2)
    ]
    path = root / "manifests" / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return {line["event_id"]: line for line in lines}


def lines_of(path):
    return [json.loads(line) for line in Path(path).read_bytes().splitlines()]


def bytes_of(root):
    files = [*sorted((root / "recast").rglob("*.flac")), *sorted((root / "manifests").glob("*_recast.jsonl"))]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A data root, the events of its manifest, and what was recast of it."""
    root = tmp_path_factory.mktemp("recast") / "data"
    written = write_manifest(root)
    return root, written, recast_manifest(load_settings(root), "song.jsonl", rounds=2, workers=1)


def casting(taxonomy=CORE, seed=1):
    return Casting("song", "recast", seed, 1, DatasetSettings(), spelling_in(taxonomy))


def dry(performance):
    """The same without room, saturation and audible noise."""
    chain = dataclasses.replace(performance.chain, room=None, drive=None, hiss_db=-200.0, peak_dbfs=-1.0)
    return dataclasses.replace(performance, chain=chain)


def test_all_new_sessions_train_and_no_other_hit_changes_its_split(made, tmp_path):
    root, _, recast = made
    settings = load_settings(root)
    before = build_catalog(settings, "song.jsonl").summary
    merged = tmp_path / "merged.jsonl"
    merge_manifests([Path(before.manifest), Path(recast.manifest)], merged)
    after = build_catalog(settings, merged).summary
    assert after.rejected == 0
    assert after.duplicates == before.duplicates
    assert after.hits_by_source["recast"] == recast.events
    assert {split: after.hits_by_split[split] - before.hits_by_split[split] for split in after.hits_by_split} == {
        "train": recast.events, "val": 0, "calibration": 0,
    }  # fmt: skip
    assert before.hits_by_split["val"] > 0


def test_only_training_sessions_are_played_and_every_event_names_its_original(made):
    root, written, recast = made
    catalog = build_catalog(load_settings(root), "song.jsonl")
    events = lines_of(recast.manifest)
    counts = Counter(event.get("metadata_ref") for event in events)
    called = counts.pop(None)
    assert called == 2 * 4 * len(CORE.components)
    assert sum(counts.values()) == 2 * catalog.summary.hits_by_split["train"]
    assert set(counts.values()) == {2}
    for event in events:
        assert event["is_synthetic"] is True
        assert event["licence"] == "CC0-1.0"
        assert event["kit_id"].endswith(event["session_id"])
        if "metadata_ref" in event:
            original = written[event["metadata_ref"]]
            assert event["session_id"].startswith(original["session_id"])
            assert all(event[name] == original[name] for name in ("drummer_id", "tempo_bpm", "meter", "bar_index"))
            assert event["techniques"] == ["variable_meter"]
    assert len({event["kit_id"] for event in events}) == recast.sessions == 2 * (recast.played_sessions + 1)


def test_no_component_is_missing_though_the_manifest_has_only_three(made):
    assert all(count >= 8 for count in made[2].events_by_component.values())
    assert list(made[2].events_by_component) == list(CORE.components)


def test_distances_between_hits_are_kept_to_the_sample(made):
    _, written, recast = made
    by_session = {}
    for event in lines_of(recast.manifest):
        if "metadata_ref" in event:
            by_session.setdefault(event["session_id"], []).append(event)
    for events in by_session.values():
        originals = [written[event["metadata_ref"]]["onset_time"] for event in events]
        samples = np.array([event["onset_time"] for event in events]) * RATE_HZ
        assert np.abs(samples - np.rint(samples)).max() < 0.03
        np.testing.assert_allclose(np.diff(samples), np.diff(originals) * RATE_HZ, atol=1.0)


def test_files_are_mono_flac_of_sane_level_that_say_what_they_are(made):
    root, _, recast = made
    loudness = {event["audio_path"]: event["loudness"] for event in lines_of(recast.manifest)}
    files = sorted((root / "recast/recast").rglob("*.flac"))
    assert {path.relative_to(root / "recast/recast").as_posix() for path in files} == set(loudness)
    for path in files:
        with sf.SoundFile(path) as file:
            assert (file.samplerate, file.channels, file.subtype, file.format) == (RATE_HZ, 1, "PCM_16", "FLAC")
            assert (file.license, file.title) == ("CC0-1.0", path.stem)
            sound = file.read()
        peak_dbfs = 20 * np.log10(np.abs(sound).max())
        assert -9.01 < peak_dbfs < -0.99
        assert loudness[f"song/{path.name}"]["peak_dbfs"] == pytest.approx(peak_dbfs, abs=0.06)
        assert -45 < loudness[f"song/{path.name}"]["LUFS_i"] < -5


def test_the_same_bytes_whatever_the_processes(made, tmp_path):
    root, _, recast = made
    write_manifest(tmp_path)
    other = recast_manifest(load_settings(tmp_path), "song.jsonl", rounds=2, workers=3)
    assert bytes_of(tmp_path) == bytes_of(root)
    assert other.events_by_component == recast.events_by_component


def test_a_second_call_touches_nothing_and_a_broken_file_is_made_again(made):
    root, _, recast = made
    settings, before = load_settings(root), bytes_of(root)
    stamps = {path: path.stat().st_mtime_ns for path in root.rglob("*.flac")}
    again = recast_manifest(settings, "song.jsonl", rounds=2)
    assert again == dataclasses.replace(recast, files_kept=recast.sessions)
    cut = next(iter(stamps))
    cut.write_bytes(cut.read_bytes()[:-500])
    mended = recast_manifest(settings, "song.jsonl", rounds=2)
    assert mended.files_kept == recast.sessions - 1
    assert bytes_of(root) == before
    changed = [path for path, stamp in stamps.items() if path.stat().st_mtime_ns != stamp]
    assert changed == [cut]


def test_after_a_kill_what_was_played_is_kept(made, tmp_path):
    write_manifest(tmp_path)
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, check=False)
    assert done.returncode == -9, done.stderr.decode()
    assert len(list(tmp_path.rglob("*.flac"))) >= 3
    assert not (tmp_path / "manifests/song_recast.jsonl").exists()
    finished = recast_manifest(load_settings(tmp_path), "song.jsonl", rounds=1)
    assert finished.files_kept >= 3
    assert not list(tmp_path.rglob("*.tmp-*"))
    # The first of two rounds holds the same as a single one.
    first = {name: data for name, data in bytes_of(made[0]).items() if "_recast1_" in name}
    assert {name: data for name, data in bytes_of(tmp_path).items() if name.endswith(".flac")} == first


@pytest.mark.parametrize("component", CORE.components)
def test_a_hit_begins_at_its_very_sample(component):
    hit = Hit(20_000, (HitComponent(component, 0.8),))
    performance = dry(Rendition.draw(casting().piece("a", 0, 0, (hit,), as_written=True)))
    sound = performance.sound()
    assert not sound[:20_000].any()
    assert np.flatnonzero(sound)[0] < 20_000 + 0.002 * RATE_HZ
    (event,) = performance.events(sound)
    assert round(event["onset_time"] * RATE_HZ) == 20_000


def test_what_is_labelled_is_what_sounds():
    performance = dry(Rendition.draw(casting(seed=3).roll_call(0)))
    sound = performance.sound().astype(np.float64)
    events = performance.events(performance.sound())
    assert Counter(event["components"][0]["label"] for event in events) == dict.fromkeys(CORE.components, 4)
    likeness = []
    for event, (blow,) in zip(events, performance.hits, strict=True):
        start, component = round(event["onset_time"] * RATE_HZ), event["components"][0]
        heard = np.diff(sound[start : start + 2000])
        strokes = [performance.kit.stroke(component["label"], blow.variant, component["velocity"], take)[:2000]
                   for take in range(TAKES)]  # fmt: skip
        likeness.append(max(np.corrcoef(heard, np.diff(stroke))[0, 1] for stroke in strokes))
    assert np.median(likeness) > 0.98
    assert np.quantile(likeness, 0.1) > 0.8


def test_labels_follow_the_exchange():
    hits = tuple(
        Hit(12_000 * (1 + place), (HitComponent("hihat_closed", 0.5), HitComponent("snare", 0.7)))
        for place in range(40)
    )
    piece = casting(seed=5).piece("a", 0, 0, hits)
    performance = Rendition.draw(piece)
    events = performance.events(np.zeros(piece.samples, np.int16))
    for event, hit, blows in zip(events, hits, performance.hits, strict=True):
        labels = [part["label"] for part in event["components"]]
        assert labels == [blow.played.component for blow in blows]
        assert len(set(labels)) == len(labels) > 0
        assert min(blow.sample for blow in blows) == hit.sample
        assert max(blow.sample for blow in blows) < hit.sample + 0.03 * RATE_HZ


def test_exchanges_are_among_known_components_and_reach_those_that_kits_lack():
    assert set(RELATED) | {other for related in RELATED.values() for other in related} <= set(CORE.components)
    rng, seen, kept = np.random.default_rng(0), Counter(), 0
    for _ in range(200):
        exchange = Exchange.draw(rng, CORE.components)
        played = exchange.play([HitComponent("kick", 0.9), HitComponent("snare", 0.6)], rng)
        seen.update(stroke.component for stroke in played)
        kept += {stroke.component for stroke in played} == {"kick", "snare"}
    assert seen["kick"] == 200
    assert seen["cross_stick"] > 25
    assert seen["hihat_pedal"] > 10
    assert kept > 60


def test_an_open_hat_is_choked_where_the_pair_is_shut():
    written = [Hit(10_000, (HitComponent("hihat_open", 0.9, 1.0),)), Hit(20_000, (HitComponent("kick", 0.9),))]
    shut = [*written, Hit(30_000, (HitComponent("hihat_closed", 0.02),))]
    rings, stops = (
        dry(Rendition.draw(casting(seed=2).piece("a", 0, 0, tuple(hits), as_written=True))).sound()
        for hits in ([*written, Hit(30_000, (HitComponent("aux_percussion", 0.02),))], shut)
    )
    after = slice(40_000, 50_000)
    assert np.std(stops[after].astype(float)) < 0.1 * np.std(rings[after].astype(float))


def test_long_sessions_are_cut_into_pieces_with_kits_of_their_own(tmp_path):
    write_manifest(tmp_path, [["kick"], ["snare"]] * 16, sessions=4, spacing_s=4.0)
    score = Score(build_catalog(load_settings(tmp_path), "song.jsonl"), spelling_in(CORE))
    parts = [score.part(place) for place in range(len(score))]
    assert len(parts) == 5 * score.sessions
    assert sum(len(hits) for _, _, hits in parts) == score.hits
    for session, part, hits in parts:
        piece = casting().piece(session, part, 0, hits)
        assert hits[0].sample == round(0.25 * RATE_HZ)
        assert piece.samples <= (PIECE_S + 4.0) * RATE_HZ
    assert len({casting().piece(session, part, 0, hits).seed for session, part, hits in parts}) == len(parts)


def test_other_taxonomies_are_spelt_their_way_and_what_no_kit_has_is_left_out(tmp_path):
    write_manifest(tmp_path, [["snare_center", "clap"], ["clap"], ["crash_1"], ["kick"]], sessions=2)
    (tmp_path / "beatsight.toml").write_text('taxonomy = "extended"\n')
    settings = load_settings(tmp_path)
    trained = build_catalog(settings, "song.jsonl").summary.hits_by_split["train"]
    recast = recast_manifest(settings, "song.jsonl", rounds=1)
    assert recast.left_out == {"clap": trained // 2}
    assert recast.events == trained * 3 // 4 + 4 * 17
    assert set(recast.events_by_component) <= set(EXTENDED.components)
    assert all(recast.events_by_component.values())
    assert build_catalog(settings, recast.manifest).summary.rejected == 0


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"rounds": 0}, UsageError, "0 rounds"),
        ({"seed": -1}, UsageError, "seed -1"),
        ({"source_set": "../up"}, UsageError, "cannot name"),
        ({"source_set": "studio"}, UsageError, "already"),
        ({"source_set": "tied"}, SettingsError, "drummer_id"),
        ({"rounds": 10**9}, StorageError, "not enough room"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(tmp_path, options, error, said):
    write_manifest(tmp_path, sessions=3)
    (tmp_path / "beatsight.toml").write_text('[sources.tied]\nsplit_by = ["drummer_id"]\n')
    with pytest.raises(error, match=said) as refusal:
        recast_manifest(load_settings(tmp_path), "song.jsonl", **options)
    assert refusal.value.do
    assert not (tmp_path / "recast").exists()


def test_a_manifest_without_anything_to_play_is_an_input_error(tmp_path):
    write_manifest(tmp_path, [["clap"]], sessions=2)
    (tmp_path / "beatsight.toml").write_text('taxonomy = "extended"\n')
    with pytest.raises(ManifestError, match="no training hit") as refusal:
        recast_manifest(load_settings(tmp_path), "song.jsonl")
    assert "clap" in refusal.value.why


def test_the_verb_says_what_was_made_and_what_comes_next(made, capsys):
    root, _, _ = made
    with pytest.raises(SystemExit) as done:
        beatsight.main(["--data-root", str(root), "recast", "song.jsonl", "--rounds", "2"], standalone_mode=False)
    said, comes_next = capsys.readouterr()
    assert done.value.code == 0
    assert "each on a kit of its own" in said
    assert "Next: beatsight manifest merge song-" in comes_next
