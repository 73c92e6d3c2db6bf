"""What an application does with an export, in a process of its own.

Run as `python -m beatsight_core.promotion.check_export FOLDER`.
Prints one JSON object: `differences` {form: greatest difference of a probability from what the trained net said}.
"""

import json
import sys
from pathlib import Path

import numpy as np


def main(folder: Path) -> dict[str, dict[str, float]]:
    """Load each form of the model in `folder` and compare its answers with the self-test's."""
    import onnxruntime
    import torch
    from safetensors.torch import load_file

    from beatsight_core.evaluation.predict import Predictor
    from beatsight_core.promotion.export import SELFTEST

    with np.load(folder / SELFTEST, allow_pickle=False) as stored:
        decibels, expected = stored["decibels"], stored["probabilities"]
    predictor = Predictor.load(folder, "cpu")  # reads model.pth with weights_only=True
    differences = {"model.pth": _difference(predictor.predict(decibels), expected)}
    tensors = load_file(folder / "model.safetensors")
    plain = torch.load(folder / "model.pth", map_location="cpu", weights_only=True)
    if set(tensors) != set(plain):
        raise SystemExit("model.safetensors has other key names than model.pth")
    predictor.model.load_state_dict(tensors, strict=True)
    differences["model.safetensors"] = _difference(predictor.predict(decibels), expected)
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    differences["model.onnx"] = _difference(session.run(None, {"decibels": decibels})[0], expected)
    return {"differences": differences}


def _difference(got: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(got - expected).max(initial=0.0))


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
