"""Digests that stand on disks: of settings, configurations and limits, as they were before pydantic checked them.

A change here begins training anew for everybody, makes every dataset again, or has refused manifests asked for again.
"""

import dataclasses
import hashlib

import pytest

from beatsight_core.dataset.shards.shard_schema import ClipSpec
from beatsight_core.features.spec import FeatureSpec
from beatsight_core.files import digest_json, json_bytes
from beatsight_core.gates.corpus_limits import profile_of
from beatsight_core.gates.release_limits import probe_limits
from beatsight_core.manifest.sampling import profile_of as sampling_of
from beatsight_core.runs.presets import ADDED, load_preset
from beatsight_core.settings import PRESETS, load_settings

EVERYTHING = """
taxonomy = "extended"
secondary_root = "/second"
[dataset]
sample_rate_hz = 48000
pre_ms = 60
encoding = "flac"
val_ratio = 0.2
[features]
n_fft = 1024
f_max_hz = 18000
storage = "float16"
[gates]
profile = "demo"
required_techniques = ["hihat_bark"]
max_reject_rate = 0.01
max_unknown_labels = 3
max_missing_rate = 1
[gates.min_counts]
kick = 5
[gates.promotion]
accuracy = 0.5
loosened = " a first  corpus"
[gates.probe]
min_positives = 5
[sources.kits]
roots = ["/audio/kits", "/more"]
licence = "CC0"
coalesce_ms = 20
expected_sample_rate_hz = 44100
split_by = ["kit_id"]
channel = "left"
shift_ms = -3
session_shifts = "/shifts.csv"
[sources.kits.sampling]
exponent = -1
least = 0.1
[training.warmup]
epochs = 5
lr = 1e-3
"""

PLAIN = {
    "settings": "9d0a5e283f0731660b79a0edee2dd6cf4a71018e",
    "gates": "c50e4db01d0e31810ab069db4b66d93127229b92",
    "limits": "b017a2424f553c3a",
    "probe": "fe3e33956b8471c5f80edbe9d818543a79cccdbf",
    "sampling": "5adbe93b7c03211a9ea91d6f569a8e1206d97793",
    "clips": "0831a3d61bd321f6c0019336d04924408942122e",
    "features": "1ca3d65187a79689c75c2885af6889a931f498df",
    "warmup": "5fd1d0f18e4599cab39f6591db971e79222dd1f1",
    "baseline": "6062151c2ad89c8f58cd69b5c63639d5ffc008a3",
    "long_run": "53caba40d51b9b478b11a739b66c04d834f2664d",
    "file of warmup": "7a5721d8464e6a15",
    "file of baseline": "b909195481c5920b",
    "file of long_run": "22432f90a9fbad06",
}

WRITTEN = PLAIN | {
    "settings": "03f76df4e71b44f9ab9466cc1e19bc9fe1ae5a8d",
    "gates": "700ab058873c9943eba79a11b83505003ed24859",
    "limits": "dc2b275e5d88a02f",
    "probe": "80a676cc8714b564d7c53a53e82ae04289457036",
    "sampling": "e0a5e2dce8859b0aec33fbdcc198a13305e7745e",
    "clips": "0179baef00dfa7b1f41fcf2d2ef4bbb2da613aa1",
    "features": "9c77eeb116093b974ca8452aa648e8779d23ce12",
    "warmup": "4a704d0d203ef46a149bbceb9098b8f3993c7349",
    "file of warmup": "947be4ba30b915b7",
}


def short(value):
    return hashlib.sha256(json_bytes(value)).hexdigest()[:16]


@pytest.mark.parametrize(("text", "expected"), [("", PLAIN), (EVERYTHING, WRITTEN)])
def test_what_settings_are_known_by_has_not_changed(data_root, text, expected):
    (data_root / "beatsight.toml").write_text(text)
    settings = load_settings(data_root, {})
    bearing = {  # as the sensor of manifests has it
        "taxonomy": settings.taxonomy,
        "secondary_root": settings.secondary_root,
        "sources": dict(settings.sources),
        "dataset": dataclasses.replace(settings.dataset, workers=0),
        "features": settings.features,
        "gates": dataclasses.replace(settings.gates, promotion={}, probe={}, loosened={}),
    }
    first = {name: load_preset(settings, name).to_json() for name in PRESETS}
    assert {
        "settings": digest_json(bearing),
        "gates": digest_json(settings.gates),
        "limits": short(profile_of(settings.gates).to_json()),
        "probe": digest_json(probe_limits(settings).to_json()),
        "sampling": digest_json(dataclasses.asdict(sampling_of(settings))),
        "clips": digest_json(ClipSpec.of(settings)),
        "features": FeatureSpec.from_settings(settings).digest,
        **{name: digest_json(load_preset(settings, name, {"batch": "16"}).identity()) for name in PRESETS},
        **{
            f"file of {name}": short({key: value for key, value in values.items() if key not in ADDED})
            for name, values in first.items()
        },
    } == expected
