"""A model as one ONNX graph from samples to probabilities: the one log-mel is a part of it, exported and not rewritten.

    clips (n, samples) float32 at the spec's rate, the onset at sample `pre` -> probabilities (n, components) float32

Level does not matter: samples in -1..1 and 16-bit numbers as floats give the same. What the numbers mean also stands in
the file's own metadata, as JSON: `components`, `thresholds`, `feature_spec`, and `run_id` as text.
"""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from beatsight_core.evaluation.predict import Predictor
from beatsight_core.features.logmel import LogMel, to_decibels
from beatsight_core.inference.onnx_backend import INPUT

OUTPUT = "probabilities"
OPSET = 18
"""STFT came with 17."""


class Listener(nn.Module):
    """Clips (n, samples) -> probabilities (n, components), by spectrograms stored and decoded as the cache does.

    Args:
        predictor: The net and its spec, on the CPU.
    """

    def __init__(self, predictor: Predictor):
        super().__init__()
        self.logmel = LogMel(predictor.spec)
        self.net = predictor.model
        self.floor_db = predictor.spec.floor_db

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        """See the class."""
        stored = self.logmel.encode(self.logmel(clips))
        probabilities: torch.Tensor = self.net(to_decibels(stored, self.floor_db)).sigmoid()
        return probabilities


def write_onnx(predictor: Predictor, path: Path) -> None:
    """Write the graph of a net that lies on the CPU; any number of clips at a time."""
    example = torch.zeros(2, predictor.spec.clip_samples)
    with _quiet():
        program = torch.onnx.export(
            Listener(predictor).eval(), (example,), input_names=[INPUT], output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("clips")},), opset_version=OPSET, dynamo=True, verbose=False,
        )  # fmt: skip
    assert program is not None  # it is None only for the exporter of old, which dynamo=True is not
    program.model.metadata_props.update(
        components=json.dumps(predictor.classes),
        thresholds=json.dumps([round(float(value), 6) for value in predictor.thresholds]),
        feature_spec=json.dumps(predictor.spec.to_json()),
        run_id=predictor.name,
    )
    program.save(path, external_data=False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's notes about its own insides and about packages that are not needed to itself."""
    notes = logging.getLogger("torch.onnx")
    level = notes.level
    notes.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        notes.setLevel(level)
