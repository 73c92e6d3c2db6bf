"""What an application does with a model's folder, in a process of its own.

Run as `python -m beatsight_core.promotion.delivery.check_export FOLDER`.
Prints one JSON object: `differences` {form: greatest difference of a probability from what the trained net said};
`clips`, how many of them that was asked about; `said_otherwise`, for how many of them any form names other components
than the trained net did; `latency_ms` {form: milliseconds for one clip, samples to probabilities, the fastest of all}.
"""

import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BATCHES = (1, 5, 1_000_000)
"""Clips at a time that the graph is asked about: one, some, all."""

Answers = Callable[[NDArray[np.int16]], NDArray[np.float32]]


def main(folder: Path) -> dict[str, Any]:
    """Load each form of the model in `folder` and compare its answers with the self-test's."""
    from beatsight_core.evaluation.predict import read_weights
    from beatsight_core.inference.torch_backend import TorchBackend
    from beatsight_core.promotion.delivery.export_model import SELFTEST
    from beatsight_core.runs.lookup import ONNX, SAFE_WEIGHTS, WEIGHTS, read_info

    with np.load(folder / SELFTEST, allow_pickle=False) as stored:
        clips, expected = stored["clips"], stored["probabilities"]
    graph = _graph(folder / ONNX)
    answers = {ONNX: [_in_parts(graph, clips, size) for size in BATCHES]}
    latency = {ONNX: _latency_ms(graph, clips)}
    backend = TorchBackend(folder, "cpu")
    states = {name: read_weights(folder / name) for name in (WEIGHTS, SAFE_WEIGHTS)}
    if set(states[WEIGHTS]) != set(states[SAFE_WEIGHTS]):
        raise SystemExit(f"{SAFE_WEIGHTS} has other key names than {WEIGHTS}")
    for name, state in states.items():
        backend.predictor.model.load_state_dict(state, strict=True)
        answers[name] = [backend.probabilities(clips)]
    latency[WEIGHTS] = _latency_ms(backend.probabilities, clips)
    otherwise = [_otherwise(got, expected, read_info(folder).thresholds) for each in answers.values() for got in each]
    return {
        "differences": {name: max(_difference(got, expected) for got in each) for name, each in answers.items()},
        "clips": len(clips),
        "said_otherwise": int(np.logical_or.reduce(otherwise).sum()),
        "latency_ms": latency,
    }


def _graph(path: Path) -> Answers:
    """As another program asks: by onnxruntime alone."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def answers(clips: NDArray[np.int16]) -> NDArray[np.float32]:
        probabilities: NDArray[np.float32] = session.run(None, {"clips": clips.astype(np.float32) / 32768.0})[0]
        return probabilities

    return answers


def _in_parts(answers: Answers, clips: NDArray[np.int16], size: int) -> NDArray[np.float32]:
    return np.concatenate([answers(clips[at : at + size]) for at in range(0, len(clips), size)])


def _latency_ms(answers: Answers, clips: NDArray[np.int16]) -> float:
    """Of one clip: the fastest, which tells what the model costs, where a median tells how busy the machine was."""
    answers(clips[:1])
    taken = []
    for at in range(len(clips)):
        began = time.perf_counter()
        answers(clips[at : at + 1])
        taken.append(time.perf_counter() - began)
    return 1000 * min(taken)


def _difference(got: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """The greatest; infinite if an answer is no number, which no comparison of such numbers would tell."""
    worst = float(np.abs(got - expected).max(initial=0.0))
    return math.inf if math.isnan(worst) else worst


def _otherwise(
    got: NDArray[np.float32], expected: NDArray[np.float32], thresholds: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """(clips,) whether other components are said; a probability that lies at its threshold may fall on either side."""
    from beatsight_core.promotion.criteria import TOLERANCE_EXPORT

    sure = np.abs(expected - thresholds) > TOLERANCE_EXPORT
    changed: NDArray[np.bool_] = (((got >= thresholds) != (expected >= thresholds)) & sure).any(axis=1)
    return changed


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
