import dataclasses

import pytest
import torch

from beatsight_core.errors import SettingsError
from beatsight_core.training.net.build_net import MODELS, build_model
from beatsight_core.training.net.losses import MultilabelLoss
from beatsight_core.training.net.onset_net import OnsetFront
from beatsight_core.training.net.paired_net import ONSET_SHARE
from tests.core.training.conftest import SPEC

DEFAULT = dataclasses.replace(
    SPEC, sample_rate_hz=44100, pre_ms=80.0, tail_ms=200.0, n_fft=2048, hop_length=512, n_mels=128, f_max_hz=16000.0
)


@pytest.mark.parametrize(("name", "parameters"), [("cnn_small", 392_946), ("cnn", 628_000), ("cnn_pair", 1_021_000)])
def test_nets_have_the_size_that_is_said(name, parameters):
    model = build_model(name, DEFAULT, 18)
    assert sum(parameter.numel() for parameter in model.parameters()) == pytest.approx(parameters, rel=0.02)
    assert model.eval()(torch.zeros(2, 128, 25)).shape == (2, 18)


@pytest.mark.parametrize(("n_mels", "frames"), [(16, 6), (8, 1), (1, 1), (3, 40), (200, 9)])
@pytest.mark.parametrize("name", MODELS)
def test_small_pictures_are_taken(name, n_mels, frames):
    hop_ms, before = 1000.0 * SPEC.hop_length / SPEC.sample_rate_hz, frames // 2
    spec = dataclasses.replace(
        SPEC, n_mels=n_mels, pre_ms=hop_ms * before, tail_ms=hop_ms * (frames - 1 - before) + 1.0
    )
    assert (spec.frames, spec.onset_frame) == (frames, before)
    assert build_model(name, spec, 5).eval()(torch.zeros(3, n_mels, frames)).shape == (3, 5)


def test_each_answer_of_a_pair_is_judged_by_itself(config):
    pair = build_model("cnn_pair", DEFAULT, 4)
    spectrograms, targets = -80 * torch.rand(6, 128, DEFAULT.frames), (torch.rand(6, 4) < 0.3).float()
    pair.set_statistics(spectrograms.mean(dim=(0, 2)), spectrograms.std(dim=(0, 2)))
    loss = MultilabelLoss(config, targets.mean(dim=0))
    pair.onset.dropout.p = pair.whole.dropout.p = 0.0
    answers = pair(spectrograms)
    assert answers.shape == (2, 6, 4)
    assert loss(answers, targets).item() == pytest.approx(
        (loss(pair.onset(spectrograms), targets) + loss(pair.whole(spectrograms), targets)).item() / 2, rel=1e-5
    )
    onset, whole = pair.eval().onset(spectrograms), pair.whole(spectrograms)
    assert torch.allclose(pair(spectrograms), ONSET_SHARE * onset + (1 - ONSET_SHARE) * whole, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_what_a_net_learned_of_its_pictures_travels_with_the_weights(name):
    model = build_model(name, SPEC, 4).eval()
    spectrograms = torch.rand(5, SPEC.n_mels, SPEC.frames) * -80
    model.set_statistics(spectrograms.mean(dim=(0, 2)), spectrograms.std(dim=(0, 2)))
    other = build_model(name, SPEC, 4).eval()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(spectrograms), model(spectrograms))


def test_bands_are_normalised_by_the_statistics():
    model = build_model("cnn_small", SPEC, 4)
    spectrograms = torch.rand(5, SPEC.n_mels, SPEC.frames) * -80
    model.set_statistics(spectrograms.mean(dim=(0, 2)), spectrograms.std(dim=(0, 2)))
    assert torch.allclose(model.normalisation(spectrograms).mean(dim=(0, 2)), torch.zeros(SPEC.n_mels), atol=1e-5)


def test_the_front_forgets_level_and_far_neighbours():
    front = OnsetFront(DEFAULT.frames, DEFAULT.onset_frame)
    spectrograms = -60.0 * torch.rand(4, 128, DEFAULT.frames)
    assert front(spectrograms).shape == (4, 2, 128, 19)
    assert torch.allclose(front(spectrograms - 15.0), front(spectrograms), atol=1e-5)
    louder = spectrograms.clone()
    louder[:, :, -3:] += 40.0  # a stroke 100 ms after the window of the net
    assert torch.equal(front(louder), front(spectrograms))


def test_the_front_shows_what_rose_at_the_onset():
    front = OnsetFront(DEFAULT.frames, DEFAULT.onset_frame)
    spectrograms = torch.full((1, 128, DEFAULT.frames), -40.0)
    spectrograms[:, 20, DEFAULT.onset_frame :] = -10.0
    rise = front(spectrograms)[0, 1]
    assert rise[20].max() == pytest.approx(30 / 12)
    assert rise[21:].max() == 0.0


def test_the_onset_is_where_the_spec_says():
    assert DEFAULT.onset_frame == 7  # 80 ms are 3,528 samples, 6.9 hops
    assert dataclasses.replace(DEFAULT, pre_ms=0.0).onset_frame == 0


def test_an_unknown_model_is_a_settings_error():
    with pytest.raises(SettingsError, match="cnn_small"):
        build_model("transformer", SPEC, 4)
