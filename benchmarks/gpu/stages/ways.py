"""Other ways to train: precisions, layouts, compiled nets, recorded kernels. How fast; whether they give the same."""

import time
from typing import Any

from benchmarks.gpu.context import Context
from benchmarks.gpu.made import DEFAULT, SMALL, STILL, configured, losses_of, made_clips, made_trainer, spec_of
from benchmarks.gpu.summary import expected
from benchmarks.gpu.timing import training_rate

STEPS = 150
LEAST_S = {"precision": 6.0, "compiled": 35.0, "graphs": 30.0}
"""Seconds that must be left for another way."""

LOSS_LIMIT, LOSS_LIMIT_FLOAT16 = 0.03, 0.15
"""Greatest relative distance of the mean loss of a few steps to that of the plain way. With float16 the first steps are
skipped until the scale of the loss is found."""


def precision(context: Context) -> None:
    """Time each precision and layout of the default net, not compiled."""
    _ways(context, "precision", [
        ("bfloat16", DEFAULT, {"amp": "bfloat16"}),
        ("float16", DEFAULT, {"amp": "float16"}),
        ("float32", DEFAULT, {"amp": "off"}),
        ("channels first", DEFAULT, {"channels_last": False}),
        ("channels first, float32", DEFAULT, {"amp": "off", "channels_last": False}),
    ])  # fmt: skip


def compiled(context: Context) -> None:
    """Compile the nets, as the preset of the baseline asks for."""
    _ways(context, "compiled", [("compiled", model, {"compile": True}) for model in (DEFAULT, SMALL)])


def graphs(context: Context) -> None:
    """Record the kernels of the compiled default net; also with two parts a step, whose gradients add up."""
    recorded = {"compile": True, "cuda_graphs": True}
    _ways(context, "graphs", [
        ("recorded, two parts a step", DEFAULT, {**recorded, "accumulation": 2}),
        ("recorded", DEFAULT, recorded),
        ("recorded", SMALL, {**recorded, "batch": 48}),
    ])  # fmt: skip


def _ways(context: Context, stage: str, ways: list[tuple[str, str, dict[str, Any]]]) -> None:
    import torch

    from beatsight_core.training.machine.cuda import training_context

    for name, model, values in ways:
        if context.left_s < LEAST_S[stage]:
            context.leave_out(f"{name}, {model}", f"{context.left_s:.0f} s are left")
            continue
        if not context.on_cuda and values.get("amp") == "float16":
            context.leave_out(f"{name}, {model}", "it needs a CUDA device")
            continue
        if values.get("compile"):
            torch._dynamo.reset()
        with training_context(context.torch_device()):
            _way(context, name, model, values)


def _way(context: Context, name: str, model: str, values: dict[str, Any]) -> None:
    """Time one way, and compare its losses over a few steps without augmentation with those of the plain way.

    Both without dropout, so that what was compiled for the former serves the latter too.
    """
    config = configured(context, model, dropout=0.0, **values)
    steps = 2 if context.tiny else STEPS
    clips = made_clips(context, steps * config.batch * config.accumulation)
    trainer = made_trainer(context, config, clips)
    compile_s, refused = _compiled(context, trainer)
    rate = training_rate(trainer, 1 if context.tiny else 3)
    context.say(
        "way", name_of_way=name, model=model, batch=config.batch, accumulation=config.accumulation, compile_s=compile_s,
        precision=str(trainer.amp_dtype), **rate.to_json(),
        estimate=expected(context, model, compiled=True) if config.compile and config.accumulation == 1 else None,
    )  # fmt: skip
    if refused:
        context.check(f"{name}, {model}: it compiles", False, value=refused, limit="no warning")
    few = made_clips(context, (2 if context.tiny else 12) * config.batch * config.accumulation)
    plain = {**values, **STILL, "compile": False, "cuda_graphs": False, "amp": "off"}
    right = losses_of(made_trainer(context, configured(context, model, **plain), few), 2)
    same = made_trainer(context, configured(context, model, **{**values, **STILL}), few)
    _compiled(context, same)
    distance = max(abs(mine - other) / other for mine, other in zip(losses_of(same, 2), right, strict=True))
    limit = LOSS_LIMIT_FLOAT16 if values.get("amp") == "float16" else LOSS_LIMIT
    context.check(f"{name}, {model}: losses are those of the plain way", distance <= limit, value=distance, limit=limit)


def _compiled(context: Context, trainer: Any) -> tuple[float | None, str]:
    """Compile if the configuration says so; the seconds that it took, and what could not be compiled."""
    import logging

    from beatsight_core.training.machine.cuda import compile_training

    if not trainer.config.compile:
        return None, ""
    said: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage()[:300])  # type: ignore[method-assign]
    logger, spec = logging.getLogger("beatsight"), spec_of(context)
    logger.addHandler(handler)
    began = time.perf_counter()
    try:
        compile_training(trainer, spec.n_mels, spec.frames)
    finally:
        logger.removeHandler(handler)
    return round(time.perf_counter() - began, 1), "; ".join(said)
