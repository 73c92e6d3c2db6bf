"""The loop: steps, epochs, validation, and all the state that a checkpoint must hold to go on as if nothing happened.

Nothing in an epoch waits for the device: losses are summed there and looked at when the epoch ends. Order depends on
seed and epoch only, the rate on the step only; the rest (weights, moments, averages, random state) is in `state`.
"""

import copy
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from beatsight_core.compute.trouble import is_out_of_memory
from beatsight_core.errors import SettingsError
from beatsight_core.runs.presets import TrainingConfig
from beatsight_core.training.checkpoint import CheckpointState
from beatsight_core.training.data.batches import ClipStore
from beatsight_core.training.data.feeding import Feed, Pair
from beatsight_core.training.data.order import epoch_order
from beatsight_core.training.epoch_losses import EpochLosses
from beatsight_core.training.machine.memory import MemoryShortError, too_little_memory
from beatsight_core.training.machine.randomness import random_state, restore_random_state, seed_all
from beatsight_core.training.net.augment import Augmentation
from beatsight_core.training.net.losses import MultilabelLoss, component_share
from beatsight_core.training.optimiser import MovingAverage, amp_dtype, make_optimizer, unused_scaler
from beatsight_core.training.parallel.ranks import ALONE, Ranks
from beatsight_core.training.parallel.whole_batch_norm import normalise_whole_batches
from beatsight_core.training.schedule import Plateau, learning_rate
from beatsight_core.training.steps_plan import largest_part, resolved_values

logger = logging.getLogger("beatsight")


@dataclass(slots=True)
class Position:
    """The progress of a run.

    Attributes:
        epoch: Number of complete epochs.
        epoch_step: Number of steps done of the next epoch.
        step: Number of steps done in all.
        loss_sum: Sum of the losses of this epoch's clips so far.
        loss_clips: Number of these clips.
    """

    epoch: int = 0
    epoch_step: int = 0
    step: int = 0
    loss_sum: float = 0.0
    loss_clips: int = 0


@dataclass(frozen=True, slots=True)
class EpochNumbers:
    """The figures of an epoch's training.

    Attributes:
        train_loss: Mean loss over the clips of the whole epoch.
        lr: Learning rate of its last step.
        clips: Number of clips trained on in this attempt.
        seconds: Seconds that they took.
        data_wait_seconds: Seconds in which the loop stood still for data.
    """

    train_loss: float
    lr: float
    clips: int
    seconds: float
    data_wait_seconds: float


class Trainer:
    """A net in training.

    Args:
        config: Configuration, resolved for these clips (see `steps_plan.resolve`).
        model: Net to train, on the device of `clips`, with its normalisation set.
        clips: ClipStore of the training hits.
        floor_db: Least value of a spectrogram, in decibels.
        weights: Weight of each clip in the draw of an epoch, (N,); None: each comes once.
        ranks: Processes that share the run.

    Attributes:
        micro_batches: Number of micro-batches that a batch is cut into because the device has too little memory.

    Raises:
        SettingsError: A batch has too few clips for that many processes.
    """

    def __init__(
        self,
        config: TrainingConfig,
        model: nn.Module,
        clips: ClipStore,
        floor_db: float,
        *,
        weights: npt.NDArray[np.float64] | None = None,
        ranks: Ranks = ALONE,
    ):
        self.config, self.clips, self.device, self.ranks = config, clips, clips.device, ranks
        if not ranks.alone:
            normalise_whole_batches(model)
            ranks.same_start(model)
        layout = torch.channels_last if config.channels_last else torch.contiguous_format
        self.model: nn.Module = model.to(memory_format=layout)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.model).requires_grad_(False) if config.ema_decay else None
        self._moving = MovingAverage(self.average, self.model) if self.average is not None else None
        self.optimizer = make_optimizer(model, config)
        self.amp_dtype = amp_dtype(config, self.device)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.amp_dtype is torch.float16)
        self.position, self.plateau = Position(), Plateau()
        self.batches_per_epoch = max(1, len(clips) // config.batch)
        self.steps_per_epoch = -(-self.batches_per_epoch // config.accumulation)
        self.micro_batches = 1
        if self.smallest_part < 1:
            why = f"a batch has {min(config.batch, len(clips))} clips"
            raise SettingsError(f"A run cannot be shared by {ranks.count} processes", why=why, do="use fewer processes")
        self._weights = weights
        self._forward: Callable[[torch.Tensor], torch.Tensor] = self.model
        self._keep_gradients = False
        self.augment: Callable[[torch.Tensor, torch.Tensor], Pair] = Augmentation(config, floor_db)
        self._loss = MultilabelLoss(config, component_share(clips.targets)).to(self.device)
        self._epoch_losses = EpochLosses(self.device)

    @property
    def clips_per_epoch(self) -> int:
        """The number of clips of an epoch: all that fill a batch."""
        return min(self.batches_per_epoch * self.config.batch, len(self.clips))

    @property
    def smallest_part(self) -> int:
        """The number of clips of the smallest forward pass of any process."""
        return min(self.config.batch, len(self.clips)) // (self.ranks.count * self.micro_batches)

    @property
    def eval_model(self) -> nn.Module:
        """The net that is validated and kept: the moving average if there is one."""
        return self.average if self.average is not None else self.model

    def autocast(self) -> torch.autocast:
        """Return the context of a forward pass in reduced precision, where the configuration and the device have it."""
        return torch.autocast(self.device.type, dtype=self.amp_dtype, enabled=self.amp_dtype is not None)

    @property
    def largest_part(self) -> int:
        """The number of clips of the largest forward pass of any process."""
        return largest_part(self.config, len(self.clips), self.ranks.count * self.micro_batches)

    def use_forward(self, forward: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """Train through `forward`, a compiled form of the net, which shares its weights."""
        self._forward = forward

    def keep_gradients(self, *, keep: bool) -> None:
        """Decide whether gradients have memory of their own from step to step.

        CUDA graphs need that: a graph writes its gradients to the same addresses at every replay. If those were the
        parameters' gradients themselves, the second part of a step would overwrite the first instead of adding to it.
        """
        self._keep_gradients = keep
        for parameter in self.model.parameters():
            parameter.grad = torch.zeros_like(parameter) if keep and parameter.requires_grad else None

    def clear_gradients(self) -> None:
        """Forget the gradients of the last step."""
        self.optimizer.zero_grad(set_to_none=not self._keep_gradients)

    def use_augmentation(self, augment: Callable[[torch.Tensor, torch.Tensor], Pair]) -> None:
        """Augment by a compiled form of `augment`."""
        self.augment = augment

    def train_epoch(self, after_step: Callable[[int], None]) -> EpochNumbers:
        """Carry the epoch under way to its end.

        Args:
            after_step: Function that is called after each step with the number of its clips. It may save `state()` and
                may raise to stop.

        Raises:
            TrainingError: The loss became infinite, not a number, or absurd; or the device has too little memory for
                even the smallest part of a batch.
        """
        began, position, seen, waited_s = time.monotonic(), self.position, 0, 0.0
        self.model.train()
        order = epoch_order(len(self.clips), self.config.seed, position.epoch, self._weights)
        while position.epoch_step < self.steps_per_epoch:
            steps = self._steps_left(order)
            with Feed(self.clips, (part for parts, _ in steps for part in parts)) as batches:
                for parts, clips in steps:
                    if not self._fits(batches, len(parts), clips):
                        break
                    seen += clips
                    position.step += 1
                    position.epoch_step += 1
                    self._epoch_losses.look(position.step)
                    after_step(clips)
            waited_s += batches.waited_s
        self._epoch_losses.check()
        loss = float(self.ranks.all_reduce_sum(self._epoch_losses.sum).item()) / max(self._epoch_losses.clips, 1)
        return EpochNumbers(loss, self.rate(position.step - 1), seen, time.monotonic() - began, waited_s)

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        return learning_rate(self.config, step, self.steps_per_epoch, self.plateau)

    def end_epoch(self, validation_loss: float) -> None:
        """Count the epoch as complete, after its validation."""
        self.plateau.observe(validation_loss, self.config)
        self.position = Position(epoch=self.position.epoch + 1, step=self.position.step)
        self._epoch_losses.begin(self.position.epoch)

    def state(self) -> CheckpointState:
        """Return everything that the next step depends on; every process must call this, and gets the same."""
        self._epoch_losses.check()
        self.position.loss_sum = float(self.ranks.all_reduce_sum(self._epoch_losses.sum).item())
        self.position.loss_clips = self._epoch_losses.clips
        first, *others = self.ranks.all_gather(random_state())
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict() if self.average is not None else None,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "rng": first,
            "rng_of_others": others,
            "progress": asdict(self.position),
            "plateau": asdict(self.plateau),
            # "pieces" is the name of the format on disk: checkpoints made before must load.
            "steps": {**resolved_values(self.config), "pieces": self.micro_batches},
        }

    def restore(self, state: CheckpointState) -> None:
        """Go on from what `state` gave, with the same steps (`steps_plan.with_resolved`)."""
        self.model.load_state_dict(state["model"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"] and self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])
        self.position, self.plateau = Position(**state["progress"]), Plateau(**state["plateau"])
        self._epoch_losses.begin(
            self.position.epoch, self.position.loss_sum if self.ranks.first else 0.0, self.position.loss_clips
        )
        # More processes than before have smaller shares of a batch, which cannot be cut into as many parts.
        most = min(self.config.batch, len(self.clips)) // self.ranks.count
        self.micro_batches = min(int(state["steps"]["pieces"]), most)
        random_states = [state["rng"], *state["rng_of_others"]]
        if self.ranks.number < len(random_states):
            restore_random_state(random_states[self.ranks.number])
        else:
            seed_all(self.config.seed + 1_000_003 * self.position.step + self.ranks.number)

    def _steps_left(self, order: torch.Tensor) -> list[tuple[list[torch.Tensor], int]]:
        """Return the steps to the epoch's end: rows of this process's micro-batches, and the clips of all processes."""
        batches = torch.split(order[: self.batches_per_epoch * self.config.batch], self.config.batch)
        first, per_step = self.position.epoch_step, self.config.accumulation
        left = batches[first * per_step :]
        clips = [sum(map(len, left[start : start + per_step])) for start in range(0, len(left), per_step)]
        shares = [self.ranks.share(batch) for batch in left]
        mine = torch.split(self.clips.prepare_rows(torch.cat(shares)), [len(share) for share in shares])
        parts = [part for share in mine for part in share.tensor_split(self.micro_batches)]
        per_group = per_step * self.micro_batches
        return [
            (parts[step * per_group : (step + 1) * per_group], clips[step])
            for step in range(self.steps_per_epoch - first)
        ]

    def _fits(self, batches: Iterator[Pair], parts: int, clips: int) -> bool:
        """Take a step, or cut batches smaller for another attempt if the device has too little memory for it."""
        try:
            self._step(batches, parts, clips)
            return True
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            why = str(error)
        # Only now nothing refers to what the attempt had made.
        self.clear_gradients()
        self.scaler = unused_scaler(self.scaler, self.device)
        if not self.ranks.alone:
            raise too_little_memory(self.device, why, MemoryShortError)
        self.cut_batches(2 * self.micro_batches, why)
        return False

    def cut_batches(self, micro_batches: int, why: str) -> None:
        """Cut every batch from here on into so many parts, with gradients added up over them: the same step."""
        self.micro_batches = micro_batches
        if self.smallest_part < 1:
            raise too_little_memory(self.device, why)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        logger.warning(
            "device %s has too little memory: step %d goes on with %d clips at a time, %d times a step",
            self.device, self.position.step + 1, self.smallest_part, self.config.accumulation * micro_batches,
        )  # fmt: skip

    def _step(self, batches: Iterator[Pair], parts: int, clips: int) -> None:
        """Take one step of the optimizer over some micro-batches of `clips` clips in all processes."""
        losses = []
        for _ in range(parts):
            decibels, targets = self.augment(*next(batches))
            with self.autocast():
                logits = self._forward(decibels)
            loss = self._loss(logits, targets)
            self.scaler.scale(loss * (len(targets) / clips)).backward()
            losses.append((loss.detach(), len(targets)))
        self.ranks.sum_gradients(self.model.parameters())
        rate = self.rate(self.position.step)
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = rate
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.clear_gradients()
        if self._moving is not None:
            done = self.position.step  # young averages follow faster, as the first weights mean little
            self._moving.move(min(self.config.ema_decay, (1 + done) / (10 + done)))
        self._epoch_losses.add(losses, clips, self.position.step)
