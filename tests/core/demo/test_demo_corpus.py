"""The corpus on disk: formats as promised, onsets true to the sample, faults counted, the same bytes every time."""

import contextlib
import dataclasses
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from beatsight_core.demo.corpus import make_demo
from beatsight_core.demo.mixing import mix, place
from beatsight_core.demo.performance import Stroke
from beatsight_core.demo.planning import SIZES, plan_sessions
from beatsight_core.demo.receipt import read_receipt
from beatsight_core.demo.source_formats import MULTITRACK, SOURCES
from beatsight_core.errors import UsageError
from beatsight_core.manifest.parsing.checks import RejectedError, Rules, UnknownLabels, read_event
from beatsight_core.manifest.read_manifest import build_catalog
from beatsight_core.settings import load_settings
from beatsight_core.taxonomy import CORE
from beatsight_core.units import seconds_to_samples


def audio_files(root):
    return {
        path.relative_to(root).as_posix(): path
        for path in sorted((root / "raw").rglob("*.*"))
        if path.suffix != ".json"
    }


def events_of(corpus):
    """The manifest's valid events, whole, in the order of lines."""
    events = {}
    for line in Path(corpus.manifest).read_bytes().splitlines():
        with contextlib.suppress(RejectedError):
            event = read_event(line, Rules(CORE), UnknownLabels())
            events.setdefault(event["event_id"], event)
    return list(events.values())


def bytes_of(root):
    return {name: path.read_bytes() for name, path in audio_files(root).items()} | {
        "manifest": (root / "manifests/demo.jsonl").read_bytes()
    }


def test_the_same_seed_gives_the_same_bytes_whatever_the_processes(corpus, demo_root, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    (tmp_path / "beatsight.toml").write_text("# mine\n")
    other = make_demo(tmp_path, size="tiny", workers=3)
    assert (tmp_path / "beatsight.toml").read_text() == "# mine\n"
    assert os.environ["OPENBLAS_NUM_THREADS"] == "3"
    assert bytes_of(tmp_path) == bytes_of(demo_root)
    ours, theirs = corpus.to_json(), other.to_json()
    places = ("data_root", "manifest")
    assert {k: v for k, v in ours.items() if k not in places} == {k: v for k, v in theirs.items() if k not in places}


def test_every_file_is_in_the_promised_format(corpus, demo_root):
    formats = {root: source for source in SOURCES for root in source.roots}
    seen = Counter()
    for name, path in audio_files(demo_root).items():
        root = "/".join(name.split("/")[:2])
        source, info = formats[root], sf.info(path)
        assert (info.samplerate, info.channels, info.subtype, info.format) == (
            source.rate_hz, source.channels, source.subtype, source.container,
        )  # fmt: skip
        seen[root] += 1
    assert seen.keys() == formats.keys()  # two roots of one source set among them
    assert len(MULTITRACK.roots) == 2
    assert seen.total() == corpus.files


def test_stereo_files_have_a_stereo_picture(demo_root):
    for name, path in audio_files(demo_root).items():
        if not name.endswith(".wav"):
            continue
        left, right = sf.read(path, dtype="float32")[0].T
        assert 0.2 < np.corrcoef(left, right)[0, 1] < 0.995


def test_levels_are_those_of_a_record(demo_root):
    for name, path in audio_files(demo_root).items():
        if name.endswith(".wav"):
            sound = sf.read(path, dtype="float32")[0]
            assert 0.3 < np.abs(sound).max() < 0.999
            assert 0.02 < np.sqrt(np.mean(sound**2)) < 0.3


@pytest.mark.parametrize("component", CORE.components)
@pytest.mark.parametrize("number", [0, 4])
def test_a_stroke_sounds_from_its_very_sample_on(component, number):
    plan = plan_sessions(7, SIZES["tiny"]).sound[number]
    stroke = Stroke(time_s=0.5, component=component, velocity=0.9, openness=0.5)
    sound = np.abs(mix(plan, [stroke], plan.kit)).max(axis=0)
    start = place(stroke, plan.source.rate_hz)
    before = sound[start - 400 : start].max()  # hiss, and a band here and there
    assert sound[start : start + plan.source.rate_hz // 1000].max() > 3 * before


def test_energy_rises_at_the_onsets_of_the_files(corpus, demo_root):
    files = {name.split("/", 2)[2]: path for name, path in audio_files(demo_root).items()}
    rises, events = [], events_of(corpus)
    for audio_path in sorted({event["audio_path"] for event in events} & files.keys()):
        if audio_path == corpus.truncated.audio_path:
            continue
        sound, rate = sf.read(files[audio_path], always_2d=True)
        # The first difference weighs up what is new against what still rings.
        crisp = np.diff(sound.mean(axis=1), prepend=0.0)
        onsets = sorted({event["onset_time"] for event in events if event["audio_path"] == audio_path})
        for onset in onsets:
            start, width = seconds_to_samples(onset, rate), rate // 100
            alone = all(abs(onset - other) > 0.05 or other == onset for other in onsets)
            if alone and width < start < sound.shape[0] - width:
                before, after = crisp[start - width : start], crisp[start : start + width]
                rises.append(10 * np.log10(np.sum(after**2) / np.sum(before**2)))
    assert len(rises) > 60
    assert np.median(rises) > 15
    assert np.quantile(rises, 0.05) > 3


def test_onsets_round_to_the_sample_that_they_came_from(corpus):
    rates = {source.name: source.rate_hz for source in SOURCES}
    for event in events_of(corpus):
        samples = event["onset_time"] * rates[event["source_set"]]
        assert abs(samples - round(samples)) < 0.03


def test_events_carry_what_is_known(corpus):
    events = events_of(corpus)
    assert len(events) == corpus.events
    for event in events:
        assert event["licence"] == "CC0-1.0"
        assert event["is_synthetic"] is True
        assert all(event[name] for name in ("kit_id", "room_id", "drummer_id", "meter", "groove"))
        assert event["tempo_bpm"] > 60
    hats = [part for event in events for part in event["components"] if part["label"].startswith("hihat")]
    assert all(0 <= part["openness"] <= 1 for part in hats)
    wanted = {"hihat_bark", "metric_modulation", "variable_meter", "multi_cymbal_same_class", "flam"}
    assert wanted <= corpus.techniques.keys()
    assert {event["components"][0]["label"] for event in events} >= {"china2", "floor_tom_2"}


def test_the_platform_finds_exactly_what_was_put_in(corpus, demo_root):
    settings = load_settings(demo_root)
    found = build_catalog(settings, "demo.jsonl").summary.to_json()
    assert found["read"] == corpus.lines
    assert found["kept"] == corpus.events
    assert found["rejects_by_reason"] == corpus.rejects_by_reason
    assert sum(corpus.rejects_by_reason.values()) == 14
    assert found["events_by_source"] == corpus.events_by_source
    assert found["events_by_label"] == corpus.events_by_component
    assert found["unknown_labels"] == corpus.unknown_labels
    assert found["duplicates"] == corpus.duplicates
    assert found["techniques"] == corpus.techniques
    assert found["sessions"] == corpus.sessions
    assert found["split_notes"] == []
    assert all(count > 0 for count in corpus.events_by_component.values())
    assert all(found["hits_by_split"][split] > 0 for split in ("train", "val", "calibration"))


def test_one_file_is_missing_one_is_cut_one_hit_lies_past_the_end(corpus, demo_root):
    settings = load_settings(demo_root)
    events = events_of(corpus)

    def found(fault):
        roots = settings.source(fault.source_set).roots
        return [root / fault.audio_path for root in roots if (root / fault.audio_path).exists()]

    def counted(fault):
        return [event for event in events if event["audio_path"] == fault.audio_path]

    assert found(corpus.missing) == []
    assert len(counted(corpus.missing)) == corpus.missing.events > 0
    (cut,) = found(corpus.truncated)
    assert sf.info(cut).frames == corpus.truncated.promised_frames > corpus.truncated.readable_frames > 0
    with pytest.raises(sf.LibsndfileError):
        sf.read(cut)
    end_s = corpus.truncated.readable_frames / sf.info(cut).samplerate
    assert sum(event["onset_time"] >= end_s for event in counted(corpus.truncated)) == corpus.truncated.events_past_cut
    (file,) = found(corpus.past_end)
    late = [event for event in counted(corpus.past_end) if event["onset_time"] >= sf.info(file).duration]
    assert len(late) == corpus.past_end.events == 1


def test_the_settings_file_is_read_well(corpus, demo_root):
    settings = load_settings(demo_root)
    assert settings.gates.profile == "demo"
    assert set(settings.sources) == {source.name for source in SOURCES}
    for source in SOURCES:
        configured = settings.source(source.name)
        assert configured.roots == tuple(demo_root / root for root in source.roots)
        assert configured.expected_sample_rate_hz == source.rate_hz
        assert configured.licence == "CC0-1.0"


def test_making_it_again_touches_nothing_and_mends_what_is_gone(corpus, demo_root, tmp_path):
    root = tmp_path / "moved"
    shutil.copytree(demo_root, root)
    moved = dataclasses.replace(corpus, data_root=str(root), manifest=str(root / "manifests/demo.jsonl"))
    before = {name: path.stat().st_mtime_ns for name, path in audio_files(root).items()}
    assert make_demo(root, size="tiny") == moved
    assert {name: path.stat().st_mtime_ns for name, path in audio_files(root).items()} == before
    next(iter(audio_files(root).values())).unlink()
    assert make_demo(root, size="tiny") == moved
    assert bytes_of(root) == bytes_of(demo_root)
    assert read_receipt(root, {"seed": 8, "size": "tiny"}, root / "manifests/demo.jsonl") is None


def test_an_unknown_size_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="huge"):
        make_demo(tmp_path, size="huge")
    assert list(tmp_path.iterdir()) == []
