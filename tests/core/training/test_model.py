import pytest
import torch

from beatsight_core.errors import SettingsError
from beatsight_core.training.losses import multilabel_loss
from beatsight_core.training.model import build_model


def test_cnn_small_has_the_size_of_the_old_net():
    model = build_model("cnn_small", 128, 25, 18)
    assert sum(parameter.numel() for parameter in model.parameters()) == 392_946
    assert model.eval()(torch.zeros(2, 128, 25)).shape == (2, 18)


@pytest.mark.parametrize(("n_mels", "frames"), [(16, 6), (8, 1), (1, 1), (3, 40)])
def test_small_pictures_are_taken(n_mels, frames):
    assert build_model("cnn_small", n_mels, frames, 5)(torch.zeros(3, n_mels, frames)).shape == (3, 5)


def test_normalisation_travels_with_the_weights():
    model = build_model("cnn_small", 16, 6, 4).eval()
    pictures = torch.rand(5, 16, 6) * -80
    mean, deviation = pictures.mean(dim=(0, 2)), pictures.std(dim=(0, 2))
    model.normalisation.set_statistics(mean, deviation)
    normal = model.normalisation(pictures)
    assert torch.allclose(normal.mean(dim=(0, 2)), torch.zeros(16), atol=1e-5)
    other = build_model("cnn_small", 16, 6, 4).eval()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(pictures), model(pictures))


def test_an_unknown_model_is_a_settings_error():
    with pytest.raises(SettingsError, match="cnn_small"):
        build_model("transformer", 16, 6, 4)


def test_loss_is_mean_cross_entropy_per_component():
    logits, targets = torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 0.0]])
    expected = (torch.log(torch.tensor(2.0)) + torch.log1p(torch.exp(torch.tensor(2.0)))) / 2
    assert multilabel_loss(logits, targets) == pytest.approx(float(expected))
    assert multilabel_loss(logits, targets, 0.2) == pytest.approx(
        float(multilabel_loss(logits, torch.tensor([[0.9, 0.1]])))
    )
