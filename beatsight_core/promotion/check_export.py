"""What an application does with a model's folder, in a process of its own.

Run as `python -m beatsight_core.promotion.check_export FOLDER`.
Prints one JSON object: `differences` {form: greatest difference of a probability from what the trained net said}, and
`clips`, how many of them that was asked about.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BATCHES = (1, 5, 1_000_000)
"""Clips at a time that the graph is asked about: one, some, all."""


def main(folder: Path) -> dict[str, Any]:
    """Load each form of the model in `folder` and compare its answers with the self-test's."""
    from beatsight_core.evaluation.lookup import ONNX, SAFE_WEIGHTS, WEIGHTS
    from beatsight_core.evaluation.predict import read_weights
    from beatsight_core.inference.torch_backend import TorchBackend
    from beatsight_core.promotion.export import SELFTEST

    with np.load(folder / SELFTEST, allow_pickle=False) as stored:
        clips, expected = stored["clips"], stored["probabilities"]
    differences = {ONNX: max(_difference(_by_graph(folder / ONNX, clips, size), expected) for size in BATCHES)}
    backend = TorchBackend(folder, "cpu")
    states = {name: read_weights(folder / name) for name in (WEIGHTS, SAFE_WEIGHTS)}
    if set(states[WEIGHTS]) != set(states[SAFE_WEIGHTS]):
        raise SystemExit(f"{SAFE_WEIGHTS} has other key names than {WEIGHTS}")
    for name, state in states.items():
        backend.predictor.model.load_state_dict(state, strict=True)
        differences[name] = _difference(backend.probabilities(clips), expected)
    return {"differences": differences, "clips": len(clips)}


def _by_graph(path: Path, clips: NDArray[np.int16], size: int) -> NDArray[np.float32]:
    """As another program asks: by onnxruntime alone."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    floats = clips.astype(np.float32) / 32768.0
    parts = [session.run(None, {"clips": floats[at : at + size]})[0] for at in range(0, len(floats), size)]
    return np.concatenate(parts)


def _difference(got: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    return float(np.abs(got - expected).max(initial=0.0))


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
