"""The loop: steps, epochs, validation, and all the state that a checkpoint must hold to go on as if nothing happened.

Nothing in an epoch waits for the device: losses are summed there and looked at when the epoch ends. Order depends on
seed and epoch only, the rate on the step only; the rest (weights, moments, averages, random state) is in `state`.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from beatsight_core.errors import TrainingError
from beatsight_core.features.cores import on_all_cores
from beatsight_core.training.augment import Augmentation
from beatsight_core.training.batches import Clips, epoch_order, in_batches
from beatsight_core.training.losses import multilabel_loss
from beatsight_core.training.presets import TrainingConfig
from beatsight_core.training.schedule import Plateau, learning_rate

DIVERGED_LOSS = 10.0
"""A mean cross-entropy per component above this (chance is 0.69) has diverged."""

CUDA_CHECK_STEPS = 200
"""Steps between looks at the device for divergence; on the CPU every step is looked at."""

CPU_EVAL_BATCH, CUDA_EVAL_BATCH = 64, 4096


@dataclass(slots=True)
class Position:
    """Where a run is.

    Attributes:
        epoch: Epochs that are complete.
        epoch_step: Steps done of the next one.
        step: Steps done in all.
        loss_sum: Sum of the losses of this epoch's clips so far.
        loss_clips: Their number.
    """

    epoch: int = 0
    epoch_step: int = 0
    step: int = 0
    loss_sum: float = 0.0
    loss_clips: int = 0


@dataclass(frozen=True, slots=True)
class EpochNumbers:
    """What an epoch's training came to; `seconds` and `clips` are of this sitting, the loss is of the whole epoch."""

    train_loss: float
    lr: float
    clips: int
    seconds: float


class Trainer:
    """A net in training.

    Args:
        config: The values.
        model: The net, on the device of `clips`, with its normalisation set.
        clips: The training hits.
        floor_db: Of the feature spec.
    """

    def __init__(self, config: TrainingConfig, model: nn.Module, clips: Clips, floor_db: float):
        self.config, self.clips, self.device = config, clips, clips.device
        layout = torch.channels_last if config.channels_last else torch.contiguous_format
        self.model: nn.Module = model.to(memory_format=layout)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.model).requires_grad_(False) if config.ema_decay else None
        self.optimizer = torch.optim.AdamW(_decay_groups(model, config.weight_decay), lr=config.lr, fused=True)
        self.amp_dtype = _amp_dtype(config, self.device)
        self.scaler = torch.amp.GradScaler("cuda", enabled=self.amp_dtype is torch.float16)
        self.position, self.plateau = Position(), Plateau()
        self.micro_batches = max(1, len(clips) // config.batch)
        self.accumulation = fitting_accumulation(config, self.micro_batches)
        self.steps_per_epoch = -(-self.micro_batches // self.accumulation)
        self._forward: Callable[[torch.Tensor], torch.Tensor] = self.model
        self._augment = Augmentation(config, floor_db)
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        self._bad_step = torch.full((), -1, dtype=torch.int64, device=self.device)

    @property
    def judged(self) -> nn.Module:
        """The net that is validated and kept: the moving average if there is one."""
        return self.average if self.average is not None else self.model

    def autocast(self) -> torch.autocast:
        """Reduced precision for a forward pass, where the configuration and the device have it."""
        return torch.autocast(self.device.type, dtype=self.amp_dtype, enabled=self.amp_dtype is not None)

    def use_forward(self, forward: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """Train through `forward`, a compiled form of the net, which shares its weights."""
        self._forward = forward

    def train_epoch(self, after_step: Callable[[int], None]) -> EpochNumbers:
        """Carry the epoch under way to its end.

        Args:
            after_step: Called after each step with the clips it took. It may save `state()` and may raise to stop.

        Raises:
            TrainingError: The loss became infinite, not a number, or absurd.
        """
        began, seen = time.monotonic(), 0
        self.model.train()
        order = epoch_order(len(self.clips), self.config.seed, self.position.epoch, self.device)
        size, per_step = self.config.batch, self.accumulation
        parts = [order[start : start + size] for start in range(0, self.micro_batches * size, size)]
        for index in range(self.position.epoch_step, self.steps_per_epoch):
            group = parts[index * per_step : (index + 1) * per_step]
            clips = self._step(group, self.rate(self.position.step))
            seen += clips
            self.position.step += 1
            self.position.epoch_step += 1
            if self.device.type == "cpu" or self.position.step % CUDA_CHECK_STEPS == 0:
                self.check_sanity()
            after_step(clips)
        self.check_sanity()
        loss = float(self._loss_sum.item()) / max(self.position.loss_clips, 1)
        return EpochNumbers(loss, self.rate(self.position.step - 1), seen, time.monotonic() - began)

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        return learning_rate(self.config, step, self.steps_per_epoch, self.plateau)

    def end_epoch(self, validation_loss: float) -> None:
        """Count the epoch as complete, after its validation."""
        self.plateau.observe(validation_loss, self.config)
        self.position = Position(epoch=self.position.epoch + 1, step=self.position.step)
        self._loss_sum.zero_()

    def check_sanity(self) -> None:
        """Wait for the device and raise if a loss went wrong since the start.

        Raises:
            TrainingError: Names the first step of a bad loss.
        """
        step = int(self._bad_step.item())
        if step >= 0:
            raise TrainingError(
                f"Training diverged at step {step + 1} (epoch {self.position.epoch + 1}): the loss was infinite, not a "
                f"number, or above {DIVERGED_LOSS:g}",
                do="lower the learning rate (--set lr=...) or look at the data of that epoch; this is another run",
            )

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        self.check_sanity()
        self.position.loss_sum = float(self._loss_sum.item())
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict() if self.average is not None else None,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "rng": _random_state(self.device),
            "progress": asdict(self.position),
            "plateau": asdict(self.plateau),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` gave."""
        self.model.load_state_dict(state["model"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"] and self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])
        self.position, self.plateau = Position(**state["progress"]), Plateau(**state["plateau"])
        self._loss_sum.fill_(self.position.loss_sum)
        _set_random_state(state["rng"], self.device)

    def _step(self, group: list[torch.Tensor], rate: float) -> int:
        """One step of the optimizer over a group of batches. Returns its clips."""
        clips = sum(len(rows) for rows in group)
        for rows in group:
            decibels, targets = self._augment(*self.clips.batch(rows))
            with self.autocast():
                logits = self._forward(decibels)
            loss = multilabel_loss(logits, targets, self.config.label_smoothing)
            self.scaler.scale(loss * (len(rows) / clips)).backward()  # type: ignore[no-untyped-call]
            self._take_note(loss.detach(), len(rows))
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = rate
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            done = self.position.step  # young averages follow faster, as the first weights mean little
            _move_average(self.average, self.model, min(self.config.ema_decay, (1 + done) / (10 + done)))
        return clips

    def _take_note(self, loss: torch.Tensor, clips: int) -> None:
        """Sum losses up on the device, and remember there the first step whose loss is bad."""
        self._loss_sum += loss * clips
        self.position.loss_clips += clips
        bad = ~(loss <= DIVERGED_LOSS) & (self._bad_step < 0)
        self._bad_step.masked_fill_(bad, self.position.step)


def fitting_accumulation(config: TrainingConfig, micro_batches: int) -> int:
    """Forward passes per step: the configured number, lowered until an epoch has `least_steps` or one is left.

    A preset is made for millions of clips. On thousands its steps would be too few to learn from.
    """
    if not config.least_steps:
        return config.accumulation
    return max(1, min(config.accumulation, micro_batches // config.least_steps))


def predict_clips(model: nn.Module, clips: Clips) -> npt.NDArray[np.float32]:
    """Probabilities (N, classes) of all clips, in order, in full precision."""
    model.eval()
    on_cpu = clips.device.type == "cpu"
    batches = in_batches(clips, CPU_EVAL_BATCH if on_cpu else CUDA_EVAL_BATCH)
    parts = [torch.empty(0)] * len(batches)

    def compute(index: int) -> None:
        with torch.inference_mode():
            parts[index] = torch.sigmoid(model(clips.batch(batches[index])[0]))

    if on_cpu:
        on_all_cores(compute, range(len(batches)))
    else:
        for index in range(len(batches)):
            compute(index)
    result: npt.NDArray[np.float32] = torch.cat(parts).float().cpu().numpy()
    return result


def _decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay is for matrices and kernels; biases and norms go without."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]


def _amp_dtype(config: TrainingConfig, device: torch.device) -> torch.dtype | None:
    if device.type != "cuda" or config.amp == "off":
        return None
    if config.amp == "auto":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.bfloat16 if config.amp == "bfloat16" else torch.float16


@torch.no_grad()
def _move_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    ours: list[torch.Tensor] = list(average.parameters())
    theirs: list[torch.Tensor] = list(model.parameters())
    torch._foreach_lerp_(ours, theirs, 1.0 - decay)
    for mine, other in zip(average.buffers(), model.buffers(), strict=True):
        mine.copy_(other)


def _random_state(device: torch.device) -> dict[str, torch.Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def _set_random_state(state: dict[str, torch.Tensor], device: torch.device) -> None:
    torch.set_rng_state(state["cpu"].cpu())
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)
