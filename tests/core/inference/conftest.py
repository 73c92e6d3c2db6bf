from pathlib import Path

import pytest

from beatsight_core.inference import Classifier, load
from beatsight_core.promotion.delivery.deliver import Delivery, export_model
from beatsight_core.settings import load_settings


@pytest.fixture(scope="session")
def delivery(trained_once, tmp_path_factory) -> Delivery:
    """The trained run, handed over into a folder of its own. Not to be changed."""
    root, run_id = trained_once
    return export_model(load_settings(root), run_id, tmp_path_factory.mktemp("handed") / "over")


@pytest.fixture(scope="session", params=["torch", "onnx"])
def classifier(request, delivery) -> Classifier:
    """The model of that folder, by either backend."""
    return load(delivery.folder, backend=request.param, device="auto" if request.param == "onnx" else "cpu")


@pytest.fixture(scope="session")
def by_torch(delivery) -> Classifier:
    return load(delivery.folder, device="cpu")


@pytest.fixture(scope="session")
def recording(trained_once) -> Path:
    """A recording of the corpus: 8 kHz, mono, 16 bit."""
    return sorted((trained_once[0] / "raw" / "tiny").glob("*.wav"))[0]
