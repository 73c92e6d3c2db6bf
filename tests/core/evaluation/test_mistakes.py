"""The surest mistakes, in all and per component; what is seen and heard of them is the hit's own, and has a cap."""

import base64
import dataclasses
import io
import re

import numpy as np
import pytest
import soundfile as sf

from beatsight_core.dataset.reader import open_dataset, shard_audio
from beatsight_core.evaluation import evaluate as report
from beatsight_core.evaluation.evaluate import evaluate, features_for
from beatsight_core.evaluation.mistakes import mistakes_by_class
from beatsight_core.evaluation.page.clips import hit_clips
from beatsight_core.pages.raster import raster
from beatsight_core.runs.records import open_run


def test_each_component_has_its_own_surest_mistakes(predicted):
    predictions = predicted(hits=600, skill=0.8)
    found = mistakes_by_class(predictions, top=5)
    assert list(found) == list(predictions.classes)
    for column, label in enumerate(predictions.classes):
        sure, said = predictions.probabilities[:, column], predictions.predicted[:, column]
        wrong = np.flatnonzero(said != predictions.reference[:, column])
        confidence = np.where(said, sure, 1 - sure)[wrong]
        assert [row.component for row in found[label]] == [label] * 5
        assert [row.confidence for row in found[label]] == pytest.approx(sorted(confidence, reverse=True)[:5])
        for row in found[label]:
            assert (label in row.said) != (label in row.labels)
            assert row.kind == ("invented" if label in row.said else "missed")
            assert row.hit_id == predictions.hits["hit_id"][row.row]


def test_a_component_without_a_mistake_is_left_out(predicted):
    predictions = predicted()
    sure = predictions.probabilities.copy()
    sure[:, 1] = predictions.targets[:, 1]
    assert list(mistakes_by_class(dataclasses.replace(predictions, probabilities=sure))) == [
        "kick", "hihat_closed", "ride_bow",
    ]  # fmt: skip


def test_a_clip_is_the_hits_own_sound_and_picture(trained):
    settings, run_id = trained
    run = open_run(settings, run_id)
    features = features_for(settings, run, run.key)
    rows = [7, int(features.offsets[-1]) - 1, 0]
    clips = hit_clips(settings, run.key, features, rows)
    samples = np.concatenate([shard_audio(shard) for shard in open_dataset(settings, run.key).shards])
    assert list(clips) == rows
    for row, clip in clips.items():
        heard, rate = sf.read(io.BytesIO(clip.sound), dtype="int16")
        assert rate == 8000
        assert (heard == samples[row]).all()
        assert clip.spectrogram == raster(features.spec.to_decibels(features.read(np.array([row])))[0])
        assert clip.onset == pytest.approx(20 / 80)


def test_pictures_and_sounds_stay_under_their_cap_and_what_is_shown_twice_counts_twice(trained):
    settings, run_id = trained
    run = open_run(settings, run_id)
    features = features_for(settings, run, run.key)
    rows = list(range(40))
    clips = hit_clips(settings, run.key, features, rows)
    size = {row: len(clip.spectrogram) + len(clip.sound) for row, clip in clips.items()}
    cap = sum(size[row] for row in rows[:10])
    assert list(hit_clips(settings, run.key, features, rows, cap)) == rows[:10]
    assert list(hit_clips(settings, run.key, features, rows, cap - 1)) == rows[:9]
    assert list(hit_clips(settings, run.key, features, [0, 0, 1], 2 * size[0])) == [0]
    assert hit_clips(settings, run.key, features, rows, 0) == {}


def test_a_page_shows_the_mistakes_beyond_its_cap_without_sound(trained, monkeypatch):
    settings, run_id = trained
    cap = 20_000
    monkeypatch.setattr(report, "MEDIA_BYTES", cap)
    page = (evaluate(settings, run_id, device="cpu").folder / "report.html").read_text()
    media = [base64.b64decode(data) for data in re.findall(r'src="data:[a-z/]+;base64,([^"]+)"', page)]
    assert 0 < sum(map(len, media)) <= cap
    assert page.count("<audio") < page.count('<article class="clip"')
