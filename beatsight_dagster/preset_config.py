"""The values of a preset as run configuration: typed and described, as the launchpad shows them.

Names, types, defaults and texts are those of `runs.presets.TrainingConfig`; nothing is said twice.
"""

import dataclasses
import inspect
import re
from collections.abc import Mapping
from typing import Any, Optional

import dagster as dg
from pydantic import Field, create_model

from beatsight_core.errors import SettingsError
from beatsight_core.runs.presets import TrainingConfig, preset_values
from beatsight_core.settings import PRESETS
from beatsight_core.toml import values_of

_ATTRIBUTE = re.compile(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)


def attribute_texts(kind: type) -> dict[str, str]:
    """What a dataclass's docstring says of each attribute, on one line."""
    text = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:")[2]
    return {name: " ".join(said.split()) for name, said in _ATTRIBUTE.findall(text)}


def _preset_values() -> type[dg.Config]:
    texts = attribute_texts(TrainingConfig)
    tables = {name: preset_values(name) for name in PRESETS}
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(TrainingConfig):
        if field.name == "preset":
            continue
        default = None if field.default is dataclasses.MISSING else field.default
        values = {name: table.get(field.name, default) for name, table in tables.items()}
        same = len(set(values.values())) == 1
        said = values[PRESETS[0]] if same else ", ".join(f"{name} {value}" for name, value in values.items())
        description = f"{texts[field.name]} Presets: {said}."
        fields[field.name] = (Optional[field.type], Field(default=None, description=description))  # noqa: UP045
    return create_model("PresetValues", __base__=dg.Config, __doc__="Values of the preset to change.", **fields)


PresetValues = _preset_values()
"""Every value of a preset, none of them required."""


def from_text(assignments: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a preset as typed after `--set`, in their types.

    Raises:
        SettingsError: There is no such value, or it is of another type; all problems in one message.
    """
    problems: list[str] = []
    values = values_of(TrainingConfig, assignments, "", problems, fixed=["preset"], typed=True)
    if problems:
        raise SettingsError("Values of a preset cannot be used: " + "; ".join(problems), do="mend these values")
    return values


def given(values: dg.Config) -> dict[str, Any]:
    """What was filled in."""
    return values.model_dump(exclude_none=True)
