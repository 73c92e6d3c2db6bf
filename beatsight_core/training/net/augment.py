"""Clips as other kits, rooms and players might have sounded them, made on the device for a whole batch at once.

Gain is not among these, because features do not show it. All but the masks is done on powers, and decibels are counted
from the loudest point again afterwards, as the cache does.
"""

import math

import torch

from beatsight_core.features.logmel import relative_decibels
from beatsight_core.runs.presets import TrainingConfig

QUIETEST_NOISE_DB = -70.0
NEIGHBOUR_DB = (-20.0, 6.0)
"""How loud another stroke may be beside the one that is meant."""

NEAREST_NEIGHBOUR_FRAMES = 3
"""Another stroke is at least this far away: nearer ones belong to the same hit."""

_EQ_WAVES = 3
_TO_NEPERS = math.log(10.0) / 10.0

Pair = tuple[torch.Tensor, torch.Tensor]


class Augmentation:
    """Random changes of a batch.

    Args:
        config: Configuration with the changes and how far they go.
        floor_db: Least value of a spectrogram, in decibels.
    """

    def __init__(self, config: TrainingConfig, floor_db: float):
        self._config, self._floor_db = config, floor_db

    def __call__(self, decibels: torch.Tensor, targets: torch.Tensor) -> Pair:
        """Return a changed copy of a batch.

        Args:
            decibels: Spectrograms (batch, n_mels, frames) within [floor_db, 0].
            targets: Targets (batch, classes) of 0 and 1, float.

        Returns:
            The same shapes; targets of mixed clips are the union of both.
        """
        config = self._config
        if config.augment_shift_frames:
            decibels = shift_in_time(decibels, config.augment_shift_frames)
        if config.augment_eq_db:
            decibels = decibels + random_equaliser(decibels, config.augment_eq_db)
        power = (decibels * _TO_NEPERS).exp_()
        if config.augment_mix_probability:
            power, targets = mix_with_other(power, targets, config.augment_mix_probability, config.augment_mix_db)
        if config.augment_neighbour_probability:
            power = add_neighbour(power, config.augment_neighbour_probability)
        if config.augment_noise_probability:
            power = add_noise(power, config.augment_noise_probability, config.augment_noise_db)
        decibels = relative_decibels(power, self._floor_db)
        if config.augment_mask_probability:
            decibels = mask_stripes(decibels, config)
        return decibels, targets


def shift_in_time(decibels: torch.Tensor, most: int) -> torch.Tensor:
    """Move each clip by its own whole number of frames, at most `most`; the edge frame fills what comes free."""
    batch, bands, frames = decibels.shape
    shifts = torch.randint(-most, most + 1, (batch, 1), device=decibels.device)
    source = (torch.arange(frames, device=decibels.device) - shifts).clamp_(0, frames - 1)
    return decibels.gather(2, source[:, None, :].expand(batch, bands, frames))


def random_equaliser(decibels: torch.Tensor, most_db: float) -> torch.Tensor:
    """Return a smooth random gain over each clip's bands, (batch, n_mels, 1) in decibels: a tilt and slow waves."""
    batch, bands, _ = decibels.shape
    place = torch.linspace(0.0, math.pi, bands, device=decibels.device)
    waves = torch.cos(place * torch.arange(1, _EQ_WAVES + 1, device=decibels.device)[:, None])  # the first is the tilt
    amounts = (2.0 * torch.rand(batch, _EQ_WAVES, device=decibels.device) - 1.0) * (most_db / _EQ_WAVES)
    return (amounts @ waves)[:, :, None]


def mix_with_other(power: torch.Tensor, targets: torch.Tensor, probability: float, range_db: float) -> Pair:
    """Add to some clips the one before in the batch, louder or softer: what simultaneous strokes are. Labels unite."""
    chosen = (torch.rand(len(power), 1, device=power.device) < probability).to(power.dtype)
    gain_db = (2.0 * torch.rand_like(chosen) - 1.0) * range_db
    gain = (chosen * torch.exp(gain_db * _TO_NEPERS))[:, :, None]
    return torch.addcmul(power, gain, power.roll(1, 0)), torch.maximum(targets, chosen * targets.roll(1, 0))


def add_neighbour(power: torch.Tensor, probability: float) -> torch.Tensor:
    """Add to some clips another of the batch, some frames earlier or later: the strokes before and after the one meant.

    What rang at the end of an earlier clip dies away from there on.
    """
    batch, bands, frames = power.shape
    draws = torch.rand(4, batch, 1, device=power.device)
    room = max(1, frames - 2 - NEAREST_NEIGHBOUR_FRAMES)
    distance = NEAREST_NEIGHBOUR_FRAMES + (draws[0] * room).floor()
    moved = torch.arange(frames, device=power.device) - torch.where(draws[1] < 0.5, -distance, distance)
    beyond = (moved - (frames - 1)).clamp_min(0.0)
    heard = torch.where(moved < 0, 0.0, torch.exp(-0.15 * beyond))  # (batch, frames)
    source = moved.clamp(0, frames - 1).long()[:, None, :].expand(batch, bands, frames)
    softest_db, loudest_db = NEIGHBOUR_DB
    gain = torch.exp((softest_db + draws[2] * (loudest_db - softest_db)) * _TO_NEPERS) * (draws[3] < probability)
    return torch.addcmul(power, (gain * heard)[:, None, :], power.roll(5, 0).gather(2, source))


def add_noise(power: torch.Tensor, probability: float, loudest_db: float) -> torch.Tensor:
    """Add to some clips noise of a random level and tilt; one texture serves the batch."""
    batch, bands, frames = power.shape
    texture = torch.empty(1, bands, frames, device=power.device).exponential_()
    chosen = (torch.rand(batch, 1, 1, device=power.device) < probability).to(power.dtype)
    level_db = QUIETEST_NOISE_DB + torch.rand_like(chosen) * (loudest_db - QUIETEST_NOISE_DB)
    tilt_db = (torch.rand_like(chosen) - 0.5) * 20.0 * torch.linspace(-1.0, 1.0, bands, device=power.device)[:, None]
    return torch.addcmul(power, chosen * torch.exp((level_db + tilt_db) * _TO_NEPERS), texture)


def mask_stripes(decibels: torch.Tensor, config: TrainingConfig) -> torch.Tensor:
    """Set a stripe of bands and one of frames of some clips to the clip's mean (SpecAugment, Park et al. 2019)."""
    _, bands, frames = decibels.shape
    masked = _stripe(decibels, bands, config.augment_bands, config.augment_mask_probability)[:, :, None]
    masked = masked | _stripe(decibels, frames, config.augment_frames, config.augment_mask_probability)[:, None, :]
    return torch.where(masked, decibels.mean(dim=(1, 2), keepdim=True), decibels)


def _stripe(like: torch.Tensor, length: int, widest: int, probability: float) -> torch.Tensor:
    """(batch, length) booleans: a stripe of random place and width, in a random choice of clips."""
    draws = torch.rand(3, len(like), 1, device=like.device)
    width = (draws[0] * (min(widest, length - 1) + 1)).floor()
    start = (draws[1] * (length - width + 1)).floor()
    places = torch.arange(length, device=like.device)
    return (places >= start) & (places < start + width) & (draws[2] < probability)
