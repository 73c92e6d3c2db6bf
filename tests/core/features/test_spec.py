import dataclasses

import numpy as np
import pytest

from beatsight_core.errors import DatasetError
from beatsight_core.features.spec import FeatureSpec
from beatsight_core.settings import load_settings


def test_default_clip_has_25_natural_frames(tmp_path):
    spec = FeatureSpec.from_settings(load_settings(tmp_path, {}))
    assert (spec.clip_samples, spec.frames, spec.n_mels) == (12348, 25, 128)
    assert (spec.storage, spec.clip_bytes) == ("uint8", 128 * 25)


def test_json_round_trip(tiny_spec):
    assert FeatureSpec.from_json(tiny_spec.to_json()) == tiny_spec


def test_other_fields_are_refused(tiny_spec):
    with pytest.raises(DatasetError, match="other fields"):
        FeatureSpec.from_json({**tiny_spec.to_json(), "colour": "red"})


def test_defect_6_every_mel_setting_changes_the_digest(tiny_spec):
    others = {}
    for field in dataclasses.fields(FeatureSpec):
        value = getattr(tiny_spec, field.name)
        changed = value + 1 if isinstance(value, int | float) else value + "x"
        others[field.name] = dataclasses.replace(tiny_spec, **{field.name: changed}).digest
    assert len({tiny_spec.digest, *others.values()}) == len(others) + 1


def test_stored_values_are_decoded(tiny_spec):
    steps = np.array([0, 51, 255], dtype=np.uint8)
    assert tiny_spec.to_decibels(steps) == pytest.approx([-80.0, -64.0, 0.0])
    halves = np.array([-80.0, -0.5], dtype=np.float16)
    assert tiny_spec.to_decibels(halves).dtype == np.float32
    assert tiny_spec.to_decibels(halves) == pytest.approx([-80.0, -0.5])
