"""Features and answers: the device's beside the CPU's, and how fast each makes them."""

import time
from typing import Any

from benchmarks.gpu.context import Context
from benchmarks.gpu.made import DEFAULT, spec_of
from benchmarks.gpu.timing import synchronize
from benchmarks.reference import CLASSES

CLIPS, FEW = 40_000, 512
MOST_STEPS, SHARE_APART, PROBABILITY_LIMIT = 1, 0.005, 0.01
"""Greatest distance of an 8-bit value; greatest share of values that differ; greatest distance of a probability."""


def features(context: Context) -> None:
    """Make spectrograms of noise with strokes, and let an untrained net answer, on the device and on the CPU."""
    import numpy as np

    from beatsight_core.features.logmel import LogMel

    spec, device = spec_of(context), context.torch_device()
    rng = np.random.default_rng(0)
    clips = _strokes(rng, 16 if context.tiny else CLIPS, spec)
    there = _timed(context, "features", LogMel(spec).to(device), clips, device)
    here = _on_cpu(spec, clips[:FEW])
    apart = np.abs(there[:FEW].astype(float) - here.astype(float))
    share, most = float((apart > 0).mean()), float(apart.max())
    context.check("values that differ from the CPU's, share", share <= SHARE_APART, value=share, limit=SHARE_APART)
    context.check("steps that a value differs by at most", most <= MOST_STEPS, value=most, limit=MOST_STEPS)
    _answers(context, here)


def _strokes(rng: Any, count: int, spec: Any) -> Any:
    """Clips (count, samples) int16: silence, faint noise and a decaying stroke, some of them all silence."""
    import numpy as np

    few = min(count, FEW)
    time_s = np.arange(spec.clip_samples) / spec.sample_rate_hz
    pitch, level = rng.uniform(60, 6000, (few, 1)), 10 ** rng.uniform(-3, 0, (few, 1))
    tone = np.sin(2 * np.pi * pitch * time_s) * np.exp(-time_s * rng.uniform(5, 60, (few, 1)))
    made = level * (tone + 0.05 * rng.standard_normal((few, spec.clip_samples)))
    made[::16] = 0.0
    clips = np.clip(made * 32767, -32768, 32767).astype(np.int16)
    return np.resize(clips, (count, spec.clip_samples))


def _timed(context: Context, name: str, logmel: Any, clips: Any, device: Any) -> Any:
    from beatsight_core.features.logmel import features_of

    features_of(logmel, clips[: len(clips) // 4], device)
    synchronize(device)
    began = time.perf_counter()
    made = features_of(logmel, clips, device)
    seconds = time.perf_counter() - began
    context.say(name, clips=len(clips), clips_s=round(len(clips) / seconds))
    return made


def _on_cpu(spec: Any, clips: Any) -> Any:
    import torch

    from beatsight_core.features.logmel import LogMel, features_of

    return features_of(LogMel(spec), clips, torch.device("cpu"))


def _answers(context: Context, stored: Any) -> None:
    """Ask the same net on both devices, as inference does."""
    import numpy as np
    import torch

    from beatsight_core.evaluation.predict import Predictor
    from beatsight_core.runs.lookup import ModelInfo
    from beatsight_core.training.machine.randomness import seed_all
    from beatsight_core.training.net.build_net import build_model

    spec = spec_of(context)
    info = ModelInfo(
        "made up", DEFAULT, spec, tuple(f"class {n}" for n in range(CLASSES)), np.full(CLASSES, 0.5, np.float32)
    )
    answers = []
    for device in (torch.device("cpu"), context.torch_device()):
        seed_all(0)
        net = build_model(DEFAULT, spec, CLASSES).to(device, memory_format=torch.channels_last).eval()
        answers.append(Predictor(info, net, device).predict(stored))
    apart = float(abs(answers[0] - answers[1]).max())
    what = "answers differ from the CPU's by at most"
    context.check(what, apart <= PROBABILITY_LIMIT, value=apart, limit=PROBABILITY_LIMIT)
