"""The steps of a run on one dataset and one kind of machine: batch, accumulation and rate, made of a preset's values.

A preset was made for a small device. Its epochs and its curve keep their meaning here; what changes is how many clips a
step takes. The result is decided when a run begins and kept in its checkpoints, so that the run goes on with it on
whatever machine.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from beatsight_core.runs.presets import TrainingConfig

RESOLVED = ("batch", "accumulation", "lr", "min_lr", "warmup_epochs", "ema_decay")
"""Names of the values that `resolve` may change."""

ENLARGED_WARMUP_EPOCHS = 1.0
"""Least warm-up where batches are enlarged: a scaled rate is too much for the first steps (Goyal et al. 2017)."""


def resolve(config: TrainingConfig, clips: int, *, on_cuda: bool, processes: int = 1) -> TrainingConfig:
    """Return the configuration with the steps that suit the data and the machine.

    On few clips `accumulation` is lowered until an epoch has `least_steps`. On very many, where `enlarge_batch` allows,
    a step takes 2, 4, 8, ... times as many clips: no more than `largest_batch` a process, and so that an epoch has no
    fewer than `least_steps`. The clips of a step are then taken in as few forward passes as fit `largest_batch`.

    For a factor k all rates are multiplied by sqrt(k), the rule for Adam (Malladi et al. 2022, "On the SDEs and Scaling
    Rules for Adaptive Gradient Algorithms"), and the average's decay is raised to the k-th power (Busbridge et al.
    2023, "How to Scale Your EMA"), so that it spans as many clips as before.

    Args:
        config: Configuration as the preset and its overrides say.
        clips: Number of training clips of an epoch.
        on_cuda: True on a CUDA device.
        processes: Number of processes that share the run.
    """
    accumulation = fitting_accumulation(config, max(1, clips // config.batch))
    config = dataclasses.replace(config, accumulation=accumulation)
    if config.enlarge_batch == "never" or (config.enlarge_batch == "auto" and not on_cuda):
        return config
    largest = config.largest_batch * processes
    factor = _factor(config.batch * config.accumulation, clips, largest, max(config.least_steps, 1))
    passes = config.accumulation * factor
    joined = max(n for n in range(1, passes + 1) if passes % n == 0 and config.batch * n <= max(largest, config.batch))
    joint = dataclasses.replace(config, batch=config.batch * joined, accumulation=passes // joined)
    return joint if factor == 1 else _scaled(joint, factor)


def fitting_accumulation(config: TrainingConfig, batches: int) -> int:
    """Return the forward passes per step: the configured number, lowered until an epoch has `least_steps`.

    Args:
        config: Configuration with `accumulation` and `least_steps`.
        batches: Number of forward passes in an epoch.
    """
    if not config.least_steps:
        return config.accumulation
    return max(1, min(config.accumulation, batches // config.least_steps))


def largest_part(config: TrainingConfig, clips: int, parts: int) -> int:
    """Return the clips of the largest forward pass of any process.

    Args:
        config: Configuration with `batch`.
        clips: Number of training clips.
        parts: Number of parts of a batch: processes that share it, times what each cuts its share into.
    """
    return -(-min(config.batch, clips) // parts)


def resolved_values(config: TrainingConfig) -> dict[str, float]:
    """Return what a checkpoint keeps of a resolved configuration."""
    return {name: getattr(config, name) for name in RESOLVED}


def with_resolved(config: TrainingConfig, values: Mapping[str, Any]) -> TrainingConfig:
    """Return the configuration with what a checkpoint kept."""
    return dataclasses.replace(config, **{name: values[name] for name in RESOLVED})


def describe(config: TrainingConfig, resolved: TrainingConfig) -> str:
    """Return one line about the steps of a run, and how they differ from what was configured."""
    said = f"steps of {resolved.batch * resolved.accumulation:,} clips ({resolved.batch:,} x {resolved.accumulation})"
    said += f", rate {resolved.lr:.3g}"
    if resolved_values(resolved) == resolved_values(config):
        return said
    return f"{said}; the preset says {config.batch:,} x {config.accumulation}, rate {config.lr:.3g}"


def _factor(step: int, clips: int, largest: int, least_steps: int) -> int:
    """Return the greatest power of two that a step may grow by."""
    room = min(largest // step, clips // (step * least_steps))
    return 1 << (max(room, 1).bit_length() - 1)


def _scaled(config: TrainingConfig, factor: int) -> TrainingConfig:
    rate = math.sqrt(factor)
    return dataclasses.replace(
        config,
        lr=config.lr * rate,
        min_lr=config.min_lr * rate,
        warmup_epochs=max(config.warmup_epochs, ENLARGED_WARMUP_EPOCHS),
        ema_decay=config.ema_decay**factor if config.ema_decay else 0.0,
    )
