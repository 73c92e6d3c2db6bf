"""A recording classified: by the same path as training, with onsets given or found, and written in three forms."""

import csv
import io
import json

import mido
import numpy as np
import pytest
import soundfile as sf

from beatsight_core.errors import AudioError, InputError, ModelError, UsageError
from beatsight_core.evaluation.predict import Predictor
from beatsight_core.features.cache import open_features
from beatsight_core.inference import load
from beatsight_core.runs.records import open_run
from beatsight_core.taxonomy import NOTE_OF_COMPONENT


def one_file(settings, run_id):
    """A file of the corpus, its hits' onsets in order, and what the cache and the run say about them."""
    run = open_run(settings, run_id)
    features = open_features(settings, run.key)
    path = features.meta["audio_path"][0]
    rows = np.flatnonzero((features.meta["audio_path"] == path).to_numpy())
    onsets = features.meta["onset_time"].to_numpy()[rows]
    probabilities = Predictor.load(run, "cpu").predict(features.read(rows))
    return settings.data_root / "raw" / "tiny" / path, onsets, probabilities, features.targets[rows]


def named(settings, model=None):
    return load(model, device="cpu", data_root=settings.data_root)


def test_given_onsets_give_exactly_what_the_dataset_and_the_cache_give(trained, tmp_path):
    settings, run_id = trained
    audio, onsets, probabilities, _ = one_file(settings, run_id)
    listed = tmp_path / "onsets.json"
    listed.write_text(json.dumps(onsets.tolist()))
    heard = named(settings, run_id).classify_file(audio, listed)
    got = np.array([list(hit.probabilities.values()) for hit in heard.hits])
    assert [hit.onset_s for hit in heard.hits] == onsets.tolist()
    assert np.abs(got - probabilities).max() < 1e-6
    assert heard.model == run_id
    assert heard.onsets == str(listed)


def test_detected_onsets_are_near_the_true_ones_and_mostly_named_right(trained):
    settings, run_id = trained
    audio, onsets, _, targets = one_file(settings, run_id)
    heard = named(settings, "latest").classify_file(audio)
    classes = list(heard.thresholds)
    found = np.array([hit.onset_s for hit in heard.hits])
    right = 0
    for onset, struck in zip(onsets, targets, strict=True):
        nearest = int(np.abs(found - onset).argmin())
        if abs(found[nearest] - onset) <= 0.010:
            right += {classes[column] for column in np.flatnonzero(struck)} == set(heard.hits[nearest].components)
    assert right / len(onsets) > 0.7
    assert heard.onsets == "detected"


def test_the_three_forms_say_the_same(trained, tmp_path):
    settings, run_id = trained
    audio, *_ = one_file(settings, run_id)
    heard = named(settings, run_id).classify_file(audio)
    for name in ("out.json", "out.csv", "out.mid"):
        heard.write(tmp_path / name)
    told = json.loads((tmp_path / "out.json").read_text())
    assert told == json.loads(json.dumps(heard.to_json()))
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
    assert [row["components"].split("+") for row in rows] == [hit["components"] or [""] for hit in told["hits"]]
    midi = mido.MidiFile(tmp_path / "out.mid")
    notes, time = [], 0.0
    for message in midi:
        time += message.time
        if message.type == "note_on":
            assert message.channel == 9
            notes.append((round(time, 3), message.note, message.velocity))
    assert sorted(notes) == sorted(
        (round(hit.onset_s, 3), NOTE_OF_COMPONENT[label], hit.velocity)
        for hit in heard.hits
        for label in hit.components
    )
    with pytest.raises(UsageError, match=r"out\.txt"):
        heard.write(tmp_path / "out.txt")


def test_louder_strokes_have_greater_velocities(trained, tmp_path):
    settings, run_id = trained
    time = np.arange(4000) / 8000
    stroke = np.sin(2 * np.pi * 90 * time) * np.exp(-time * 25)
    sf.write(tmp_path / "a.wav", np.concatenate([level * stroke for level in (0.02, 0.1, 0.5, 0.99)]), 8000)
    (tmp_path / "onsets.txt").write_text("0.0\n0.5\n1.0\n1.5\n")
    heard = named(settings, run_id).classify_file(tmp_path / "a.wav", tmp_path / "onsets.txt")
    velocities = [hit.velocity for hit in heard.hits]
    assert velocities == sorted(set(velocities))
    assert 1 <= velocities[0] < velocities[-1] <= 127


def test_a_recording_at_another_rate_in_stereo_is_heard_too(trained, tmp_path):
    settings, run_id = trained
    rng = np.random.default_rng(0)
    sf.write(tmp_path / "a.flac", rng.normal(0, 0.1, (48000, 2)), 48000)
    (tmp_path / "on.csv").write_text("time\n0.0\n0.9999\n")
    heard = named(settings, run_id).classify_file(tmp_path / "a.flac", tmp_path / "on.csv")
    assert len(heard.hits) == 2


def test_silence_has_no_hits(trained, tmp_path):
    settings, run_id = trained
    sf.write(tmp_path / "a.wav", np.zeros(8000), 8000)
    heard = named(settings, run_id).classify_file(tmp_path / "a.wav")
    assert heard.hits == ()
    heard.write(tmp_path / "out.mid")
    assert heard.to_json()["hits"] == []


def test_what_cannot_be_done_is_said(trained, tmp_path):
    settings, run_id = trained
    sf.write(tmp_path / "a.wav", np.zeros(8000), 8000)
    (tmp_path / "on.txt").write_text("0.5\n1.0\n7\n")
    with pytest.raises(
        InputError, match=r"2 of 3 onsets lie beyond the recording's end at 1\.000 s, the first at 1\.0"
    ):
        named(settings, run_id).classify_file(tmp_path / "a.wav", tmp_path / "on.txt")
    with pytest.raises(AudioError, match="no such recording"):
        named(settings, run_id).classify_file(tmp_path / "b.wav")
    (tmp_path / "c.wav").write_bytes(b"RIFF but no more")
    with pytest.raises(AudioError):
        named(settings, run_id).classify_file(tmp_path / "c.wav")
    with pytest.raises(ModelError, match="no champion"):
        named(settings).classify_file(tmp_path / "a.wav")
    with pytest.raises(ModelError, match="no version 4"):
        named(settings, "v4").classify_file(tmp_path / "a.wav")


def test_an_empty_list_of_onsets_is_told(trained, tmp_path):
    settings, run_id = trained
    classifier = named(settings, run_id)
    sf.write(tmp_path / "a.wav", np.zeros(8000), 8000)
    for name, text in (("on.csv", ""), ("on.csv", "onset\n"), ("on.json", "[]"), ("on.txt", "# none\n\n")):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match="There are no onsets"):
            classifier.classify_file(tmp_path / "a.wav", tmp_path / name)
    with pytest.raises(InputError, match="cannot be read"):
        classifier.classify_file(tmp_path / "a.wav", tmp_path / "nowhere.csv")


@pytest.mark.parametrize("samples", [1, 2, 100])
def test_a_recording_of_hardly_any_samples(classifier, tmp_path, samples):
    sf.write(tmp_path / "a.wav", np.full(samples, 0.5), 44100)
    assert len(classifier.classify_file(tmp_path / "a.wav").hits) <= 1
    sf.write(tmp_path / "b.wav", np.full(samples, 0.5), classifier.spec.sample_rate_hz)
    assert len(classifier.classify_file(tmp_path / "b.wav", [0.0]).hits) == 1


def test_eight_channels_are_heard_as_their_mean(classifier, recording, tmp_path):
    samples, rate = sf.read(recording, dtype="int16")
    sf.write(tmp_path / "eight.wav", np.stack([samples] * 8, axis=1), rate)
    plain, eight = (classifier.classify_file(path, [0.5, 1.0]) for path in (recording, tmp_path / "eight.wav"))
    assert np.abs(plain.answers.probabilities - eight.answers.probabilities).max() < 1e-6


def test_what_makes_answers_poorer_is_logged(by_torch, recording, tmp_path, caplog):
    samples, rate = sf.read(recording, dtype="int16")
    by_torch.classify_file(recording)
    assert not caplog.records
    sf.write(tmp_path / "low.wav", samples[::2], rate // 2)
    by_torch.classify_file(tmp_path / "low.wav")
    assert "at 4000 Hz nothing above 2000 Hz is heard, and the model listens up to 4000 Hz" in caplog.text
    caplog.clear()
    whole = recording.read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[: len(whole) // 2])
    by_torch.classify_file(tmp_path / "cut.wav")
    assert "cut short: the header promises" in caplog.text


def test_a_recording_that_is_none_is_told(by_torch, tmp_path):
    with pytest.raises(AudioError, match="that is a folder"):
        by_torch.classify_file(tmp_path)
    sf.write(tmp_path / "nan.wav", np.array([0.0, np.nan]), 8000, subtype="FLOAT")
    with pytest.raises(AudioError, match="not numbers"):
        by_torch.classify_file(tmp_path / "nan.wav")
    sf.write(tmp_path / "empty.wav", np.zeros(0), 8000)
    with pytest.raises(AudioError, match="no audio"):
        by_torch.classify_file(tmp_path / "empty.wav")
