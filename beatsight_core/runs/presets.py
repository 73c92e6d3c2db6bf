"""Training configurations: the values, their checks, and where they come from.

A preset is a TOML file beside this one. `[training.<preset>]` of the settings file beats it, `--set key=value` beats
both. Everything here is part of a run's identity, the number of epochs too, so that a schedule never changes under way.
"""

import dataclasses
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, ValidationError, model_validator

from beatsight_core.errors import SettingsError
from beatsight_core.settings import PRESETS, Settings, load_settings
from beatsight_core.settings.sections import NotNegative, Positive, SettingsTables
from beatsight_core.settings.validation import (
    Number,
    Place,
    SettingsTable,
    Switch,
    Whole,
    checked,
    dotted,
    hidden,
    hidden_key,
    nearest,
    overrides_of,
)
from beatsight_core.typed_json import adapter_of

Model = Literal["cnn_pair", "cnn", "cnn_small"]
MODELS: tuple[Model, ...] = typing.get_args(Model)
"""Nets, as `build_net.build_model` makes them."""

Schedule = Literal["cosine", "plateau"]
AmpMode = Literal["auto", "bfloat16", "float16", "off"]
EnlargeMode = Literal["auto", "always", "never"]
Balance = Literal["none", "sessions", "classes"]
Residence = Literal["auto", "device", "host", "map"]
Loss = Literal["cross_entropy", "focal", "asymmetric"]
Optimizer = Literal["adamw"]
OPTIMIZERS: tuple[Optimizer, ...] = typing.get_args(Optimizer)
"""Optimizers, as `optimiser` makes them."""

MOST = 2**31 - 1
"""Of every whole number but the seed."""
MOST_SEED = 2**63 - 1
"""Generators take 64 bits, with a sign."""

Count = Annotated[Whole, Field(ge=1, le=MOST)]
Amount = Annotated[Whole, Field(ge=0, le=MOST)]
Share = Annotated[Number, Field(ge=0, le=1)]

ADDED = {"optimizer": "adamw"}
"""Values that came after the first runs, with what those runs did."""

MEANS = ("residence", "processes")
"""Values that say how a run is carried out and not what it is: it may go on with others."""


@dataclass(frozen=True, slots=True)
class TrainingConfig(SettingsTable):
    """Everything that determines a training run, beside its data."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    preset: Annotated[str, hidden("preset")]
    """Name of the preset it began from."""
    epochs: Count
    """Passes over the training hits."""
    schedule: Schedule
    """Course of the learning rate: "cosine" (linear warm-up, then half a cosine down to `min_lr`) or "plateau" (times
    `plateau_factor` when the validation loss has not fallen for `plateau_patience` epochs)."""
    lr: Positive
    """Highest learning rate."""
    batch: Count
    """Clips per forward pass."""
    warmup_epochs: NotNegative = 0.0
    """Epochs over which the rate rises to `lr`; at most half of all."""
    min_lr: NotNegative = 2e-5
    """Lowest learning rate."""
    plateau_patience: Count = 4
    """Epochs without a lower validation loss before the rate falls."""
    plateau_factor: Annotated[Number, Field(gt=0, lt=1)] = 0.5
    """Factor that the rate is then multiplied by."""
    accumulation: Count = 1
    """Forward passes per step of the optimizer."""
    least_steps: Amount = 500
    """Steps that an epoch shall have: on small data `accumulation` is lowered until it has them."""
    weight_decay: NotNegative = 1e-4
    """Weight decay of AdamW, on weight matrices only."""
    clip_norm: Positive = 1.0
    """Greatest norm of a step's gradient."""
    ema_decay: Share = 0.998
    """Decay of the moving average of weights that is then validated and kept; 0 means none."""
    label_smoothing: Share = 0.0
    """Distance by which targets are drawn towards one half."""
    loss: Loss = "cross_entropy"
    """Loss function: "cross_entropy", "focal" or "asymmetric" (see `losses.MultilabelLoss`)."""
    loss_gamma: NotNegative = 2.0
    """Focus of the last two: how much more a wrong answer counts than a right one."""
    positive_weight: NotNegative = 0.0
    """Power of the odds against a component by which its strokes count; 0: like their absence."""
    model: Model = "cnn_pair"
    """Architecture (see `build_net.build_model`)."""
    dropout: Share = 0.3
    """Share of values dropped before the last layer."""
    seed: Annotated[Whole, Field(ge=0, le=MOST_SEED)] = 1337
    """Seed of initial weights, order, dropout and augmentation."""
    amp: AmpMode = "auto"
    """Reduced precision of forward passes: "auto" (on CUDA bfloat16 where the device has it, from Ampere on, else
    float16; on the CPU bfloat16 where the processor has it), "bfloat16", "float16" (on CUDA only) or "off"."""
    channels_last: Switch = True
    """Memory layout of the convolutions; faster everywhere."""
    compile: Switch = False
    """Whether the net is compiled, on CUDA only."""
    cuda_graphs: Switch = False
    """Whether the compiled net replays recorded kernels instead of launching each; needs `compile`."""
    deterministic: Switch = False
    """Whether only kernels run that give the same bits every time; slower, and only needed on CUDA."""
    val_fraction: Annotated[Number, Field(gt=0, le=1)] = 1.0
    """Share of the validation hits looked at after each epoch; the final metrics use all."""
    val_minimum: Amount = 2000
    """Hits looked at even so, if there are as many."""
    checkpoint_epochs: Count = 1
    """Epochs from checkpoint to checkpoint."""
    checkpoint_minutes: Positive = 10.0
    """Time after which one is written even so."""
    augment_shift_frames: Amount = 1
    """Greatest shift in time, either way."""
    augment_eq_db: NotNegative = 6.0
    """Greatest boost or cut of a random smooth equaliser."""
    augment_noise_db: Number = -30.0
    """Level of added noise, at most, in decibels relative to the clip's loudest point."""
    augment_noise_probability: Share = 0.3
    """Share of clips with noise."""
    augment_bands: Amount = 12
    """Widest masked stripe of bands."""
    augment_frames: Amount = 4
    """Widest masked stripe of frames."""
    augment_mask_probability: Share = 0.3
    """Share of clips with such stripes."""
    augment_mix_probability: Share = 0.3
    """Share of clips that a second one is mixed into, with the union of their labels."""
    augment_mix_db: NotNegative = 12.0
    """Difference by which it is at most softer or louder than the first."""
    augment_neighbour_probability: Share = 0.5
    """Share of clips that another is added to as an earlier or later stroke, without its labels."""
    enlarge_batch: EnlargeMode = "auto"
    """Larger batches at a scaled rate where there are very many clips (see `steps_plan.resolve`): "auto" (on CUDA),
    "always" or "never"."""
    largest_batch: Count = 1024
    """Clips that a step is enlarged to at most, per process."""
    balance: Balance = "none"
    """Way in which an epoch draws its clips: "none" (each once), "sessions" (by the sampling profile's weights) or
    "classes" (more often the rarer their rarest component)."""
    residence: Residence = "auto"
    """Place of the training clips: "auto" (where they fit), "device", "host" or "map". It changes no result."""
    processes: Amount = 0
    """Processes that share the run, one device each; 0: one per device leased to the run."""
    optimizer: Optimizer = "adamw"
    """Name of the optimizer (see `optimiser.OPTIMIZERS`)."""

    def to_json(self) -> dict[str, Any]:
        """All values."""
        return dataclasses.asdict(self)

    def identity(self) -> dict[str, Any]:
        """All values but `MEANS`: what makes a run another run.

        A value of `ADDED` counts only where it is not its default, so that the ids of runs made before it stay.
        """
        values = {name: value for name, value in self.to_json().items() if name not in MEANS}
        return {name: value for name, value in values.items() if ADDED.get(name) != value}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "TrainingConfig":
        """The configuration that `to_json` described; values that did not exist then get their defaults."""
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: item for name, item in value.items() if name in known})

    @model_validator(mode="after")
    def _values_agree(self) -> "TrainingConfig":
        problems = []
        if not self.min_lr <= self.lr < 10:
            problems.append("min_lr <= lr < 10 must hold")
        if self.cuda_graphs and not self.compile:
            problems.append("cuda_graphs needs compile = true: only a compiled net has graphs")
        if problems:
            raise ValueError("; ".join(problems))
        return self


PresetOverrides = overrides_of(TrainingConfig, "PresetOverrides", without=["preset"])
"""Every value of a preset, none of them required."""


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
    config = _merged(name, settings.training.get(name, {}), overrides or {}, problems)
    if config is None or problems:
        raise SettingsError(f"Preset {name} cannot be used: " + "; ".join(problems), do="mend these values")
    return config


def _merged(
    name: str, table: Mapping[str, Any], overrides: Mapping[str, Any], problems: list[str]
) -> TrainingConfig | None:
    """A preset under its table of the settings file and under overrides. `problems` receives what is wrong."""
    values: dict[str, Any] = {}
    places: dict[str, str] = {}
    for layer, prefix in (preset_values(name), ""), (table, f"training.{name}."), (overrides, ""):
        for key, value in as_typed(layer).items():
            values.pop(key, None)  # it takes the place that it has in this layer
            values[key], places[key] = value, prefix

    def shown(place: Place) -> str:
        if not place:  # values that contradict each other
            return f"training.{name}" if table else ""
        return places.get(str(place[0]), "") + dotted(place)

    return checked(TrainingConfig, {**values, hidden_key("preset"): name}, problems, shown=shown)


def as_typed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values of a preset in which text stands for what it says: "4" for a number, "yes" for a truth value."""
    kinds = value_types()
    return {name: _read(value, kinds[name]) if name in kinds else value for name, value in values.items()}


def value_types() -> dict[str, type]:
    """Return the type of every value of a preset: int, float, bool or str."""
    hints = typing.get_type_hints(TrainingConfig)
    names = [field.name for field in dataclasses.fields(TrainingConfig) if field.name != "preset"]
    return {name: str if typing.get_origin(hints[name]) is Literal else hints[name] for name in names}


def _read(value: Any, kind: type) -> Any:
    """What a person meant who could only type text; the text itself if it means nothing of that type."""
    if not isinstance(value, str):
        return value
    try:
        return adapter_of(kind).validate_python(value.strip())
    except ValidationError:
        return value


def load_checked_settings(data_root: str | Path | None = None) -> Settings:
    """The settings of a data root, with every value of every `[training.<preset>]` checked too.

    Whoever begins work that ends in training reads its settings by this, so that a misspelt value is told at once.

    Raises:
        SettingsError: The file, a variable, or a value of a preset is wrong.
    """
    return load_settings(data_root, also=_preset_problems)


def _preset_problems(tables: SettingsTables) -> list[str]:
    """What is wrong with the values of `[training.<preset>]`."""
    problems: list[str] = []
    for name, table in tables.training.items():
        _merged(name, table, {}, problems)
    return problems


def preset_values(name: str) -> dict[str, Any]:
    """What the file of a preset says."""
    text = resources.files("beatsight_core.runs").joinpath("presets", f"{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
