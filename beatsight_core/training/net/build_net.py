"""The nets by name.

Conventions: a net takes (batch, n_mels, frames) float decibels as the cache gives them, carries what it needs of the
training hits' normalisation in itself, and gives (batch, classes) logits, one per component; a probability is its
sigmoid. In training it may give several answers, (answers, batch, classes), each of which is judged. Keys of a state
dict are the same wherever it is saved.
"""

from collections.abc import Callable

from beatsight_core.errors import SettingsError
from beatsight_core.features.spec import FeatureSpec
from beatsight_core.training.net.drum_net import DrumNet
from beatsight_core.training.net.onset_net import OnsetNet
from beatsight_core.training.net.paired_net import PairedNet

Net = PairedNet | OnsetNet | DrumNet


def build_model(name: str, spec: FeatureSpec, n_classes: int, dropout: float = 0.3) -> Net:
    """An untrained net.

    Args:
        name: "cnn_pair": `PairedNet` of 1.02 M parameters; "cnn" and "cnn_small" are its halves, `OnsetNet` of 0.63 M
            and `DrumNet` of 0.39 M.
        spec: Feature spec of the spectrograms that it takes.
        n_classes: Number of components.
        dropout: Share of features dropped before the last layer.

    Raises:
        SettingsError: There is no net of that name.
    """
    if name not in MODELS:
        raise SettingsError(f"There is no model {name!r}", do=f"use one of {', '.join(sorted(MODELS))}")
    return MODELS[name](spec, n_classes, dropout)


def _drum_net(spec: FeatureSpec, n_classes: int, dropout: float) -> Net:
    return DrumNet(spec.n_mels, spec.frames, n_classes, dropout)


def _paired_net(spec: FeatureSpec, n_classes: int, dropout: float) -> Net:
    return PairedNet(spec.n_mels, spec.frames, spec.onset_frame, n_classes, dropout)


def _onset_net(spec: FeatureSpec, n_classes: int, dropout: float) -> Net:
    return OnsetNet(spec.n_mels, spec.frames, spec.onset_frame, n_classes, dropout)


MODELS: dict[str, Callable[[FeatureSpec, int, float], Net]] = {
    "cnn_pair": _paired_net, "cnn": _onset_net, "cnn_small": _drum_net,
}  # fmt: skip
