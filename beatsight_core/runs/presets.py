"""Training configurations: the values, their checks, and where they come from.

A preset is a TOML file beside this one. `[training.<preset>]` of the settings file beats it, `--set key=value` beats
both. Everything here is part of a run's identity, the number of epochs too, so that a schedule never changes under way.
"""

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from beatsight_core.errors import SettingsError
from beatsight_core.settings import PRESETS, Settings, load_settings
from beatsight_core.toml import nearest, values_of

MODELS = ("cnn_pair", "cnn", "cnn_small")
"""Nets, as `build_net.build_model` makes them."""

AMP_MODES = ("auto", "bfloat16", "float16", "off")
ENLARGE_MODES = ("auto", "always", "never")
BALANCES = ("none", "sessions", "classes")
RESIDENCES = ("auto", "device", "host", "map")
LOSSES = ("cross_entropy", "focal", "asymmetric")

MOST = 2**31 - 1
"""Of every whole number but the seed."""
MOST_SEED = 2**63 - 1
"""Generators take 64 bits, with a sign."""

MEANS = ("residence", "processes")
"""Values that say how a run is carried out and not what it is: it may go on with others."""


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """Everything that determines a training run, beside its data.

    Attributes:
        preset: Name of the preset it began from.
        epochs: Passes over the training hits.
        schedule: "cosine" (linear warm-up, then half a cosine down to `min_lr`) or "plateau" (times `plateau_factor`
            when the validation loss has not fallen for `plateau_patience` epochs).
        warmup_epochs: Epochs over which the rate rises to `lr`; at most half of all.
        lr: Greatest learning rate.
        min_lr: Least.
        plateau_patience: Epochs without a lower validation loss before the rate falls.
        plateau_factor: What it is then multiplied by.
        batch: Clips per forward pass.
        accumulation: Forward passes per step of the optimizer.
        least_steps: Steps an epoch shall have: on small data `accumulation` is lowered until it has them.
        weight_decay: Of AdamW, on weight matrices only.
        clip_norm: Greatest norm of a step's gradient.
        ema_decay: Of the moving average of weights that is then validated and kept; 0 means none.
        label_smoothing: Targets are drawn this far towards one half.
        loss: "cross_entropy", "focal" or "asymmetric" (see `losses.MultilabelLoss`).
        loss_gamma: Of the last two: how much more a wrong answer counts than a right one.
        positive_weight: Strokes of a component count as the odds against it, to this power; 0: like their absence.
        model: Architecture (see `build_net.build_model`).
        dropout: Before the last layer.
        seed: Of initial weights, order, dropout and augmentation.
        amp: Reduced precision of forward passes: "auto" (on CUDA bfloat16 where the device has it, from Ampere on, else
            float16; on the CPU bfloat16 where the processor has it), "bfloat16", "float16" (on CUDA only) or "off".
        channels_last: Memory layout of the convolutions; faster everywhere.
        compile: Compile the net, on CUDA only.
        cuda_graphs: Let the compiled net replay recorded kernels instead of launching each; needs `compile`.
        deterministic: Only kernels that give the same bits every time; slower, and only needed on CUDA.
        val_fraction: Share of the validation hits looked at after each epoch; the final metrics use all.
        val_minimum: Hits looked at even so, if there are as many.
        checkpoint_epochs: Epochs from checkpoint to checkpoint.
        checkpoint_minutes: Time after which one is written even so.
        augment_shift_frames: Greatest shift in time, either way.
        augment_eq_db: Greatest boost or cut of a random smooth equaliser.
        augment_noise_db: Noise is added at most at this level, in decibels relative to the clip's loudest point.
        augment_noise_probability: Share of clips with noise.
        augment_bands: Widest masked stripe of bands.
        augment_frames: Widest masked stripe of frames.
        augment_mask_probability: Share of clips with such stripes.
        augment_mix_probability: Share of clips that a second one is mixed into, with the union of their labels.
        augment_mix_db: It is at most this much softer or louder than the first.
        augment_neighbour_probability: Share of clips that another is added to as an earlier or later stroke,
            without its labels.
        enlarge_batch: Larger batches at a scaled rate where there are very many clips (see
            `steps_plan.resolve`): "auto" (on CUDA), "always" or "never".
        largest_batch: Clips that a step is enlarged to at most, per process.
        balance: How an epoch draws its clips: "none" (each once), "sessions" (by the sampling profile's weights) or
            "classes" (more often the rarer their rarest component).
        residence: Where training clips lie: "auto" (where they fit), "device", "host" or "map". It changes no result.
        processes: That share the run, one device each; 0: one per device leased to the run.
    """

    preset: str
    epochs: int
    schedule: str
    lr: float
    batch: int
    warmup_epochs: float = 0.0
    min_lr: float = 2e-5
    plateau_patience: int = 4
    plateau_factor: float = 0.5
    accumulation: int = 1
    least_steps: int = 500
    weight_decay: float = 1e-4
    clip_norm: float = 1.0
    ema_decay: float = 0.998
    label_smoothing: float = 0.0
    loss: str = "cross_entropy"
    loss_gamma: float = 2.0
    positive_weight: float = 0.0
    model: str = "cnn_pair"
    dropout: float = 0.3
    seed: int = 1337
    amp: str = "auto"
    channels_last: bool = True
    compile: bool = False
    cuda_graphs: bool = False
    deterministic: bool = False
    val_fraction: float = 1.0
    val_minimum: int = 2000
    checkpoint_epochs: int = 1
    checkpoint_minutes: float = 10.0
    augment_shift_frames: int = 1
    augment_eq_db: float = 6.0
    augment_noise_db: float = -30.0
    augment_noise_probability: float = 0.3
    augment_bands: int = 12
    augment_frames: int = 4
    augment_mask_probability: float = 0.3
    augment_mix_probability: float = 0.3
    augment_mix_db: float = 12.0
    augment_neighbour_probability: float = 0.5
    enlarge_batch: str = "auto"
    largest_batch: int = 1024
    balance: str = "none"
    residence: str = "auto"
    processes: int = 0

    def to_json(self) -> dict[str, Any]:
        """All values."""
        return dataclasses.asdict(self)

    def identity(self) -> dict[str, Any]:
        """All values but `MEANS`: what makes a run another run."""
        return {name: value for name, value in self.to_json().items() if name not in MEANS}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "TrainingConfig":
        """The configuration that `to_json` described; values that did not exist then get their defaults."""
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: item for name, item in value.items() if name in known})


def load_preset(settings: Settings, name: str, overrides: Mapping[str, Any] | None = None) -> TrainingConfig:
    """A preset with what overrides it.

    Args:
        settings: `[training.<name>]` beats the preset.
        name: warmup, baseline or long_run.
        overrides: Beat both. Text is read as the type that the key has: "epochs=4" as typed after `--set` works.

    Raises:
        SettingsError: There is no such preset or key, or values are of the wrong type or impossible; all problems in
            one message.
    """
    if name not in PRESETS:
        raise SettingsError(
            f"There is no preset {name!r}{nearest(name, PRESETS)}", do=f"use one of {', '.join(PRESETS)}"
        )
    problems: list[str] = []
    values: dict[str, Any] = {}
    layers = [(preset_values(name), ""), (settings.training.get(name, {}), f"training.{name}."), (overrides or {}, "")]
    for table, prefix in layers:
        values |= values_of(TrainingConfig, table, prefix, problems, fixed=["preset"], typed=True)
    if not problems:
        config = TrainingConfig(preset=name, **values)
        problems = _contradictions(config)
    if problems:
        raise SettingsError(f"Preset {name} cannot be used: " + "; ".join(problems), do="mend these values")
    return config


def load_checked_settings(data_root: str | Path | None = None) -> Settings:
    """The settings of a data root, with every value of every `[training.<preset>]` checked too.

    Whoever begins work that ends in training reads its settings by this, so that a misspelt value is told at once.

    Raises:
        SettingsError: The file, a variable, or a value of a preset is wrong.
    """
    settings = load_settings(data_root)
    problems = []
    for name in settings.training:
        try:
            load_preset(settings, name)
        except SettingsError as error:
            problems.append(error.what)
    if problems:
        raise SettingsError("; ".join(problems), where=settings.file, do="mend these values")
    return settings


def preset_values(name: str) -> dict[str, Any]:
    """What the file of a preset says."""
    text = resources.files("beatsight_core.runs").joinpath("presets", f"{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


_WORDS = {
    "model": MODELS, "amp": AMP_MODES, "enlarge_batch": ENLARGE_MODES, "balance": BALANCES, "residence": RESIDENCES,
    "loss": LOSSES,
}  # fmt: skip


def _not_one_of(config: TrainingConfig, name: str, words: tuple[str, ...]) -> tuple[bool, str]:
    value = getattr(config, name)
    return value not in words, f"{name} must be one of {', '.join(words)}, not {value!r}{nearest(str(value), words)}"


def _contradictions(config: TrainingConfig) -> list[str]:
    counts = ("epochs", "batch", "largest_batch", "accumulation", "plateau_patience", "checkpoint_epochs")
    shares = ("dropout", "ema_decay", "label_smoothing", "augment_noise_probability", "augment_mask_probability",
              "augment_mix_probability", "augment_neighbour_probability")  # fmt: skip
    not_negative = ("warmup_epochs", "min_lr", "weight_decay", "seed", "val_minimum", "least_steps", "processes",
                    "augment_shift_frames", "augment_eq_db", "augment_bands", "augment_frames", "augment_mix_db",
                    "loss_gamma", "positive_weight")  # fmt: skip
    positive = ("lr", "clip_norm", "checkpoint_minutes")
    whole = [name for name, value in config.to_json().items() if isinstance(value, int) and name != "seed"]
    problems = [f"{name} must be at least 1" for name in counts if getattr(config, name) < 1]
    problems += [f"{name} must lie in [0, 1]" for name in shares if not 0 <= getattr(config, name) <= 1]
    problems += [f"{name} must not be negative" for name in not_negative if not getattr(config, name) >= 0]
    problems += [f"{name} must be positive" for name in positive if not getattr(config, name) > 0]
    problems += [f"{name} must be at most {MOST:,}" for name in whole if getattr(config, name) > MOST]
    problems += [f"seed must be at most {MOST_SEED:,}"] if config.seed > MOST_SEED else []
    checks = [
        (config.schedule not in ("cosine", "plateau"), f"schedule must be cosine or plateau, not {config.schedule!r}"),
        *(_not_one_of(config, name, words) for name, words in _WORDS.items()),
        (not config.min_lr <= config.lr < 10, "min_lr <= lr < 10 must hold"),
        (not 0 < config.val_fraction <= 1, "val_fraction must lie in (0, 1]"),
        (not 0 < config.plateau_factor < 1, "plateau_factor must lie between 0 and 1"),
        (config.cuda_graphs and not config.compile, "cuda_graphs needs compile = true: only a compiled net has graphs"),
    ]
    return problems + [problem for wrong, problem in checks if wrong]
