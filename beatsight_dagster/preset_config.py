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
from beatsight_core.runs import presets
from beatsight_core.runs.presets import PresetOverrides, TrainingConfig, as_typed, preset_values, value_types
from beatsight_core.settings import PRESETS
from beatsight_core.settings.validation import checked


def _texts() -> dict[str, str]:
    """The text below each field of `TrainingConfig`.

    Pydantic's schema has the same texts (a test compares them), but making it costs a third of all that loading these
    definitions costs.
    """
    source = inspect.getsource(presets)
    body = source[source.index("class TrainingConfig") :]
    return {
        name: " ".join(text.split()) for name, text in re.findall(r'^    (\w+): [^\n]*\n    """(.*?)"""', body, _LINES)
    }


_LINES = re.MULTILINE | re.DOTALL


def _preset_values() -> type[dg.Config]:
    about, defaults = _texts(), {field.name: field.default for field in dataclasses.fields(TrainingConfig)}
    tables = {name: preset_values(name) for name in PRESETS}
    fields: dict[str, Any] = {}
    for name, kind in value_types().items():
        values = {preset: table.get(name, defaults[name]) for preset, table in tables.items()}
        same = len(set(values.values())) == 1
        said = values[PRESETS[0]] if same else ", ".join(f"{preset} {value}" for preset, value in values.items())
        description = f"{about[name]} Presets: {said}."
        fields[name] = (Optional[kind], Field(default=None, description=description))  # noqa: UP045
    return create_model("PresetValues", __base__=dg.Config, __doc__="Values of the preset to change.", **fields)


PresetValues = _preset_values()
"""Every value of a preset, none of them required."""


def from_text(assignments: Mapping[str, Any]) -> dict[str, Any]:
    """Return values of a preset as typed after `--set`, in their types.

    Raises:
        SettingsError: There is no such value, or it is of another type or impossible; all problems in one message.
    """
    problems: list[str] = []
    values = checked(PresetOverrides, as_typed(assignments), problems)
    if values is None or problems:
        raise SettingsError("Values of a preset cannot be used: " + "; ".join(problems), do="mend these values")
    return {name: value for name, value in dataclasses.asdict(values).items() if value is not None}


def given(values: dg.Config) -> dict[str, Any]:
    """What was filled in."""
    return values.model_dump(exclude_none=True)
