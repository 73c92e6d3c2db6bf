"""Clips and recordings that lie in memory, in every shape that programs have them in."""

import io

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.audio.decoding.decode import decode
from beatsight_core.audio.slicing import Window
from beatsight_core.errors import AudioError, InputError, UsageError
from beatsight_core.inference import detect_onsets, load
from beatsight_core.inference.sound import as_clips, as_recording

RATE, PRE, LENGTH = 8000, 160, 640
WINDOW = Window(RATE, PRE, LENGTH - PRE)


@pytest.fixture(scope="module")
def sound(recording):
    return sf.read(recording, dtype="int16")[0]


@pytest.fixture(scope="module")
def cut(sound):
    """Nine clips of the recording, (9, LENGTH) int16."""
    return np.stack([sound[start : start + LENGTH] for start in range(800, 9800, 1000)])


def test_every_shape_and_kind_gives_the_same(classifier, cut):
    plain = classifier.classify_clips(cut, RATE).probabilities
    floats = cut / 32768
    for clips in (
        floats, floats.astype(np.float32), cut.astype(np.int32) * 65536, list(cut), list(floats),
        [np.stack((clip, clip), axis=1) for clip in floats], np.stack((cut,) * 2, axis=2),
        np.stack((floats,) * 8, axis=2),
    ):  # fmt: skip
        assert np.abs(classifier.classify_clips(clips, RATE).probabilities - plain).max() < 1e-6


def test_16_bit_numbers_kept_as_floats_are_told_not_clipped(classifier, cut):
    with pytest.raises(AudioError, match="16-bit numbers"):
        classifier.classify_clips(cut.astype(np.float64), RATE)


def test_a_batch_says_what_its_clips_say_alone(classifier, cut):
    together = classifier.classify_clips(cut, RATE)
    alone = np.concatenate([classifier.classify_clips([clip], RATE).probabilities for clip in cut])
    assert np.abs(together.probabilities - alone).max() < 1e-5
    assert len(together) == len(together.components) == 9
    rows = zip(together.predicted, together.components, strict=True)
    assert all(tuple(np.array(together.classes)[predicted]) == words for predicted, words in rows)


def test_clips_cut_elsewhere_are_those_of_the_recording(classifier, sound):
    onsets = np.array([0.0, 0.01, 0.5, 1.25])
    heard = classifier.classify_recording(sound, RATE, onsets)
    clips = [sound[max(0, int(onset * RATE) - 400) : int(onset * RATE) + 900] for onset in onsets]
    for row, (clip, onset) in enumerate(zip(clips, onsets, strict=True)):
        answers = classifier.classify_clips([clip], RATE, onset_s=min(onset, 400 / RATE))
        assert np.abs(answers.probabilities[0] - heard.answers.probabilities[row]).max() < 1e-6


def test_a_recording_in_memory_is_heard_as_its_file(classifier, recording, sound):
    from_file = classifier.classify_file(recording)
    for samples in (sound, sound / 32768, np.stack((sound, sound), axis=1)):
        heard = classifier.classify_recording(samples, RATE)
        assert np.array_equal(heard.onsets_s, from_file.onsets_s)
        assert np.abs(heard.answers.probabilities - from_file.answers.probabilities).max() < 1e-6
        assert np.array_equal(heard.velocities, from_file.velocities)
    assert heard.audio == "samples"
    assert from_file.onsets == heard.onsets == "detected"


def test_onsets_given_keep_their_order(by_torch, sound):
    onsets = [1.5, 0.25, 0.25]
    heard = by_torch.classify_recording(sound, RATE, onsets)
    assert heard.onsets_s.tolist() == onsets == [hit.onset_s for hit in heard.hits]
    assert heard.onsets == "given"
    back = by_torch.classify_recording(sound, RATE, sorted(onsets))
    assert np.abs(heard.answers.probabilities[::-1] - back.answers.probabilities).max() < 1e-6
    assert by_torch.classify_recording(sound, RATE, []).hits == ()


def test_no_clips_have_no_answers(classifier):
    for none in ([], np.zeros((0, LENGTH))):
        answers = classifier.classify_clips(none, RATE)
        assert answers.probabilities.shape == (0, len(classifier.classes))
        assert answers.components == []


def test_another_rate_is_resampled(classifier, cut):
    time = np.arange(0, 0.08, 1 / 44100)
    stroke = np.sin(2 * np.pi * 90 * (time - 0.02)) * np.exp(-25 * (time - 0.02)) * (time >= 0.02)
    at_8k = stroke[np.round(np.arange(LENGTH) * 44100 / RATE).astype(int)]
    fine = classifier.classify_clips(np.stack([stroke] * 3), 44100)
    coarse = classifier.classify_clips(np.stack([at_8k] * 3), RATE)
    assert fine.components == coarse.components
    listed = classifier.classify_clips([stroke] * 3, 44100)
    assert np.abs(listed.probabilities - fine.probabilities).max() < 1e-5


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2000), st.integers(0, 1500), st.integers(0, 3))
def test_the_onset_lies_where_the_window_has_it(length, at, seed):
    clip = np.random.default_rng(seed).uniform(-1, 1, length).astype(np.float32)
    if at > length:
        with pytest.raises(UsageError, match="after its end"):
            as_clips([clip], RATE, WINDOW, at / RATE)
        return
    fitted = as_clips([clip], RATE, WINDOW, at / RATE)[0] / 32768
    padded = np.pad(clip, LENGTH)[LENGTH + at - PRE :][:LENGTH]
    assert np.abs(fitted - padded).max(initial=0) < 1e-4


@pytest.mark.parametrize(
    ("samples", "rate", "said"),
    [
        ([0.0, np.nan, 0.0], RATE, r"1 of 3 samples of the recording are not numbers, the first at \(1,\)"),
        ([[0.0, np.inf]], RATE, "not numbers"),
        (np.zeros((2, 2, 2)), RATE, "shape"),
        (np.zeros((2, 500)), RATE, "turn it round"),
        (np.zeros(5, dtype=np.uint8), RATE, "type uint8"),
        (["a"], RATE, "type"),
        (np.zeros(5), 0, "0 Hz"),
        (np.zeros(5), -44100, "-44,100 Hz"),
    ],
)
def test_what_is_no_recording_is_told(samples, rate, said):
    with pytest.raises(AudioError, match=said):
        as_recording(samples, rate, RATE)


@pytest.mark.parametrize(
    ("clips", "said"),
    [
        (np.zeros(LENGTH), "looks like a single one"),
        (np.zeros((LENGTH, 2)), "looks like a single one"),
        (np.zeros((2, 2, 2, 2)), "shape"),
        ([np.zeros(9), np.array([np.nan])], "clip 1"),
        (np.full((2, 9), np.nan), "the clips"),
    ],
)
def test_what_are_no_clips_is_told(by_torch, clips, said):
    with pytest.raises(AudioError, match=said):
        by_torch.classify_clips(clips, RATE, onset_s=0.0)


@pytest.mark.parametrize("onset_s", [-0.1, np.nan, 1.0])
def test_an_onset_outside_its_clip_is_told(by_torch, cut, onset_s):
    with pytest.raises(UsageError, match="onset"):
        by_torch.classify_clips(cut, RATE, onset_s=onset_s)


@pytest.mark.parametrize("onsets", [[-0.1], [np.nan], [[0.5]], 0.5])
def test_onsets_that_are_no_times_are_told(by_torch, sound, onsets):
    with pytest.raises(InputError, match="not times"):
        by_torch.classify_recording(sound, RATE, onsets)


def test_an_adaptation_sees_a_recording_once_and_whole(delivery, sound):
    seen = []

    def adapt(probabilities):
        seen.append(probabilities.shape)
        return 1 - probabilities

    onsets = np.linspace(0, 1, 1500)
    plain = load(delivery.folder, device="cpu").classify_recording(sound, RATE, onsets)
    changed = load(delivery.folder, device="cpu", adapt=adapt).classify_recording(sound, RATE, onsets)
    assert seen == [plain.answers.probabilities.shape]
    assert np.array_equal(changed.answers.probabilities, 1 - plain.answers.probabilities)


LOUD = [0.5, 0.999, 1.0, 1.5, 4.0, 30.0]


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
@pytest.mark.parametrize("gain", LOUD)
def test_floats_beyond_full_scale_are_heard_as_their_file_is(by_torch, recording, tmp_path, subtype, gain):
    samples, rate = sf.read(recording)
    loud = np.stack((gain * samples, 0.7 * gain * samples), axis=1)
    sf.write(tmp_path / "hot.wav", loud, rate, subtype=subtype)
    onsets = [0.25, 0.5, 1.0]
    from_file = by_torch.classify_file(tmp_path / "hot.wav", onsets)
    in_memory = by_torch.classify_recording(sf.read(tmp_path / "hot.wav")[0], rate, onsets)
    assert np.array_equal(from_file.answers.probabilities, in_memory.answers.probabilities)
    assert np.array_equal(from_file.velocities, in_memory.velocities)


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(["PCM_16", "PCM_24", "PCM_32", "FLOAT"]), st.integers(1, 4), st.sampled_from([8000, 22050, 44100]),
    st.sampled_from(["int16", "int32", "float32", "float64"]), st.floats(0.1, 3.0),
)  # fmt: skip
def test_an_array_is_what_its_file_decodes_to(subtype, channels, rate, dtype, gain):
    if (dtype == "int16") != (subtype == "PCM_16") or (dtype == "int32" and subtype == "FLOAT"):
        dtype = "float32"  # else the array holds fewer bits than the file
    samples = np.random.default_rng(channels).uniform(-gain, gain, (3000, channels))
    stream = io.BytesIO()
    sf.write(stream, samples if subtype == "FLOAT" else np.clip(samples, -1, 1), rate, format="WAV", subtype=subtype)
    array = sf.read(io.BytesIO(stream.getvalue()), dtype=dtype, always_2d=True)[0]
    for channel in ("mix", "left", "right", "loudest"):
        decoded = decode(stream.getvalue(), channel=channel).at_rate(RATE)
        found = as_recording(array, rate, RATE, channel)
        if dtype.startswith("float") and subtype == "PCM_16" and channels <= 2 and rate != RATE:
            assert np.abs(found.astype(int) - decoded).max() <= 1  # a mean of 16 bits is one of 16 bits
        else:
            np.testing.assert_array_equal(found, decoded)


def test_one_channel_can_be_listened_to(by_torch, recording, tmp_path):
    samples, rate = sf.read(recording)
    stereo = np.stack((samples, -samples), axis=1)
    sf.write(tmp_path / "opposed.wav", stereo, rate, subtype="FLOAT")
    plain = by_torch.classify_recording(samples, rate, [0.5, 1.0]).answers.probabilities
    for channel in ("left", "loudest"):
        heard = by_torch.classify_file(tmp_path / "opposed.wav", [0.5, 1.0], channel=channel)
        assert np.array_equal(heard.answers.probabilities, plain)
        in_memory = by_torch.classify_recording(stereo, rate, [0.5, 1.0], channel=channel)
        assert np.array_equal(in_memory.answers.probabilities, plain)
    mixed = by_torch.classify_file(tmp_path / "opposed.wav", [0.5, 1.0])
    assert np.abs(mixed.answers.probabilities - plain).max() > 0.01
    with pytest.raises(UsageError, match="choose from mix"):
        by_torch.classify_file(tmp_path / "opposed.wav", channel="middle")


@pytest.mark.parametrize("rate", [1, 2, 999, 768_001, 2**31 - 1])
def test_a_rate_that_is_none_of_audio_is_refused_for_files_and_arrays_alike(by_torch, tmp_path, rate):
    said = rf"sample rate of {rate:,} Hz is none of audio"
    with pytest.raises(AudioError, match=said):
        by_torch.classify_recording(np.zeros(100), rate)
    with pytest.raises(AudioError, match=said):
        by_torch.classify_clips([np.zeros(100)], rate)
    with pytest.raises(AudioError, match=said):
        detect_onsets(np.zeros(100, np.float32), rate)
    sf.write(tmp_path / "a.wav", np.zeros(100), rate)
    with pytest.raises(AudioError, match=said):
        by_torch.classify_file(tmp_path / "a.wav")
