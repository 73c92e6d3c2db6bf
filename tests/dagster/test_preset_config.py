"""Presets in the launchpad: every value with its type and its text."""

import dataclasses

import dagster as dg
import pytest
from pydantic import TypeAdapter

from beatsight_core.errors import SettingsError
from beatsight_core.runs.presets import TrainingConfig, value_types
from beatsight_dagster.definitions import defs
from beatsight_dagster.preset_config import PresetValues, from_text, given

ASSETS = ("warmup_probe", "baseline_model", "long_run_model")


@pytest.mark.parametrize("asset", ASSETS)
def test_every_value_of_a_preset_is_offered_with_type_and_text(asset):
    config = defs.get_repository_def().assets_defs_by_key[dg.AssetKey(asset)].op.config_schema.config_type
    fields = config.fields["overrides"].config_type.fields
    wanted = value_types()
    assert set(fields) == set(wanted) == {field.name for field in dataclasses.fields(TrainingConfig)} - {"preset"}
    names = {int: "Int", float: "Float", str: "String", bool: "Bool"}
    for name, field in fields.items():
        assert not field.is_required
        assert names[wanted[name]] in str(field.config_type.inner_type.key)
        assert "Presets: " in field.description
    assert "warmup 8, baseline 60, long_run 220" in fields["epochs"].description
    assert all(field.description for field in config.fields.values())
    # The launchpad writes every default into the configuration of a new run: only what people set may have one.
    assert {name for name, field in config.fields.items() if _is_written(field)} <= {"device", "fresh", "overrides"}


def _is_written(field):
    return field.default_provided and field.default_value is not None


def test_every_value_has_a_text():
    texts = {name: field.description.partition(" Presets: ")[0] for name, field in PresetValues.model_fields.items()}
    assert all(len(text.split()) > 1 and text.endswith(".") for text in texts.values())
    assert texts["lr"] == "Highest learning rate."


def test_the_texts_are_those_of_the_schema():
    schema = TypeAdapter(TrainingConfig).json_schema()["properties"]
    for name, field in PresetValues.model_fields.items():
        assert field.description.partition(" Presets: ")[0] == " ".join(schema[name]["description"].split())


def test_only_what_was_filled_in_is_an_override():
    assert given(PresetValues()) == {}
    assert given(PresetValues(epochs=4, compile=False, lr=1)) == {"epochs": 4, "compile": False, "lr": 1.0}


def test_text_gets_its_type():
    assert from_text({"epochs": "4", "lr": "1e-3", "compile": "true"}) == {"epochs": 4, "lr": 1e-3, "compile": True}
    with pytest.raises(SettingsError, match="did you mean epochs"):
        from_text({"epoch": "4"})
    with pytest.raises(SettingsError, match=r"epochs must be a whole number, not 'four'.*lr must be positive"):
        from_text({"epochs": "four", "lr": "0"})
