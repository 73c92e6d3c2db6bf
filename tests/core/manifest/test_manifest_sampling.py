import polars as pl
import pytest

from beatsight_core.errors import SettingsError
from beatsight_core.manifest.reader import build_catalog
from beatsight_core.manifest.sampling import SamplingProfile, SourceSampling, hit_weights, load_profile, session_weights

PROFILE = load_profile("prod_combined")


def weights_of(settings, path, profile=PROFILE):
    table = session_weights(build_catalog(settings, path), profile)
    return {row["session_id"]: row for row in table.iter_rows(named=True)}


def session(event, name, count, **rest):
    return [event(session_id=name, onset_time=float(number), **rest) for number in range(count)]


def test_the_weight_is_a_power_of_the_events_within_limits(settings, manifest, event):
    rows = [
        *session(event, "short", 1), *session(event, "middle", 16), *session(event, "long", 700),
        *session(event, "stems", 4, source_set="slakh2100"), *session(event, "rare", 200, source_set="enst_drums"),
    ]  # fmt: skip
    found = weights_of(settings, manifest(rows))
    assert {name: row["weight"] for name, row in found.items()} == {
        "short": 0.5,
        "middle": 0.25,
        "long": 0.05,
        "stems": 0.2,
        "rare": 0.075,
    }
    assert (found["long"]["events"], found["long"]["counted"]) == (700, 512)


def test_repeats_of_a_stroke_count_once(settings, manifest, event):
    again = [event(session_id="s", onset_time=float(number // 4)) for number in range(64)]
    (row,) = weights_of(settings, manifest(again)).values()
    assert (row["events"], row["duplicates"], row["counted"], row["weight"]) == (64, 48, 16, 0.25)


def test_only_so_many_events_of_a_file_count(settings, manifest, event):
    kind = {"source_set": "groove_mididataset"}
    rows = session(event, "s", 300, audio_path="a", **kind) + [
        event(session_id="s", onset_time=1000.0 + number, audio_path="b", **kind) for number in range(10)
    ]
    assert weights_of(settings, manifest(rows))["s"]["counted"] == 266


def test_boosted_techniques_weigh_more(settings, manifest, event):
    rows = [
        event(onset_time=1.0), event(onset_time=2.0, techniques=["hihat_bark"]),
        event(onset_time=3.0, techniques=["flam"]),
        event(onset_time=4.0, techniques=["crash_dual_label", "hihat_bark"]),
    ]  # fmt: skip
    catalog = build_catalog(settings, manifest(rows))
    weights = hit_weights(pl.read_parquet(catalog.hits_path), session_weights(catalog, PROFILE), PROFILE)
    assert weights.tolist() == pytest.approx([0.5, 0.5 * 1.75, 0.5, 0.5 * 1.85])


def test_profiles_are_data(settings, manifest, event):
    profile = SamplingProfile("flat", SourceSampling(exponent=0.0, least=1.0, most=1.0))
    assert weights_of(settings, manifest(session(event, "s", 9)), profile)["s"]["weight"] == 1.0
    assert PROFILE.source("slakh2100") == SourceSampling(-0.5, 0.05, 0.2, 512)
    assert PROFILE.source("anything") == SourceSampling(-0.5, 0.05, 0.5, 512)
    with pytest.raises(SettingsError, match="prod_combined"):
        load_profile("absent")
