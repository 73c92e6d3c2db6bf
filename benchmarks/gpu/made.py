"""What the stages work on: made-up clips, and configurations and trainers as a run on a GPU has them."""

from pathlib import Path
from typing import Any

from benchmarks.gpu.context import Context
from benchmarks.gpu.summary import DEFAULT, SMALL
from benchmarks.reference import CLASSES, default_spec

__all__ = [
    "DEFAULT", "PRODUCTION_CLIPS", "SMALL", "STILL", "apart", "configured", "logits_of", "losses_of", "made_arrays",
    "made_clips", "made_trainer", "resident", "spec_of",
]  # fmt: skip

PRODUCTION_CLIPS = 3_010_770
STILL = {
    "dropout": 0.0, "augment_shift_frames": 0, "augment_eq_db": 0.0, "augment_noise_probability": 0.0,
    "augment_mask_probability": 0.0, "augment_mix_probability": 0.0, "augment_neighbour_probability": 0.0,
}  # fmt: skip
"""Nothing is drawn at random but the order and the first weights, so that two devices do the same."""

_TINY = {"batch": 4, "largest_batch": 8}


def spec_of(context: Context) -> Any:
    """Return the recipe of spectrograms: the default one, in a tiny run one of 16 bands and few frames."""
    import dataclasses

    spec = default_spec()
    if not context.tiny:
        return spec
    return dataclasses.replace(
        spec, sample_rate_hz=8000, pre_ms=20.0, tail_ms=60.0, n_fft=256, hop_length=128, n_mels=16, f_max_hz=4000.0
    )


def configured(context: Context, model: str, *, enlarged: bool = True, **overrides: Any) -> Any:
    """Return the configuration of the baseline on a GPU with as many clips as production has, not compiled.

    Args:
        context: Context of the stage; a tiny one has batches of 8 and 4.
        model: Name of the net.
        enlarged: Whether its batches are enlarged, as they are by default; else they are as the preset says.
        overrides: Values that beat the preset's and the resolved ones.
    """
    import dataclasses

    from beatsight_core.runs.presets import load_preset
    from beatsight_core.settings import load_settings
    from beatsight_core.training.steps_plan import resolve

    nowhere = load_settings(Path(__file__).parent, {})
    values = {"model": model, "compile": False, "enlarge_batch": "auto" if enlarged else "never"}
    config = load_preset(nowhere, "baseline", {**values, **(_TINY if context.tiny else {})})
    return dataclasses.replace(resolve(config, PRODUCTION_CLIPS, on_cuda=True), **overrides)


def made_arrays(context: Context, count: int, device: Any) -> tuple[Any, Any]:
    """Return spectrograms of noise as stored, and targets of which a tenth are 1, on a device.

    They are the same in every call for the same kind of device.
    """
    import torch

    spec = spec_of(context)
    generator = torch.Generator(device).manual_seed(0)
    stored = torch.empty((count, spec.n_mels, spec.frames), dtype=getattr(torch, spec.storage), device=device)
    for part in stored.split(1 << 16):
        if spec.storage == "uint8":
            part.random_(0, 256, generator=generator)
        else:
            part.uniform_(spec.floor_db, 0.0, generator=generator)
    targets = (torch.rand(count, CLASSES, device=device, generator=generator) < 0.1).to(torch.uint8)
    return stored, targets


def made_clips(context: Context, count: int) -> Any:
    """Return made-up clips that lie on the device."""
    return resident(context, *made_arrays(context, count, context.torch_device()))


def resident(context: Context, stored: Any, targets: Any, device: Any = None) -> Any:
    """Return clips that lie on a device, made of arrays: by default where the arrays lie."""
    from beatsight_core.training.data.batches import ResidentClips

    device = stored.device if device is None else device
    return ResidentClips(stored.to(device), targets.to(device), spec_of(context).floor_db)


def made_trainer(context: Context, config: Any, clips: Any, **more: Any) -> Any:
    """Return a trainer of a fresh net on clips, with their normalisation, as a run makes it.

    Args:
        context: Context of the stage.
        config: Resolved configuration.
        clips: Clips, on any device.
        more: Keyword arguments of the trainer.
    """
    from beatsight_core.training.loop import Trainer
    from beatsight_core.training.machine.randomness import seed_all
    from beatsight_core.training.net.bands import band_statistics
    from beatsight_core.training.net.build_net import build_model

    seed_all(config.seed)
    spec = spec_of(context)
    model = build_model(config.model, spec, CLASSES, config.dropout)
    model.set_statistics(*band_statistics(clips))
    return Trainer(config, model.to(clips.device), clips, spec.floor_db, **more)


def losses_of(trainer: Any, epochs: int) -> list[float]:
    """Train some epochs; their mean losses."""
    losses = []
    for _ in range(epochs):
        losses.append(trainer.train_epoch(_nothing).train_loss)
        trainer.end_epoch(0.0)
    return losses


def logits_of(model: Any, clips: Any, count: int) -> Any:
    """Return what a net says in evaluation of the first clips, (count, classes) float32 on the CPU."""
    import torch

    with torch.inference_mode():
        decibels, _ = clips.batch(clips.prepare_rows(torch.arange(count)))
        return model.eval()(decibels).float().cpu()


def apart(one: Any, other: Any) -> float:
    """Return the distance of two tensors over the size of the second: |one - other| / |other|."""
    import torch

    one, other = one.double(), other.double()
    return float(torch.linalg.vector_norm(one - other) / torch.linalg.vector_norm(other))


def _nothing(_: int) -> None:
    """Done after a step."""
