import dataclasses
from collections.abc import Mapping

import pytest

from beatsight_core.audio.inventory import build_inventory
from beatsight_core.errors import SettingsError
from beatsight_core.gates.corpus_limits import PROFILES, profile_of
from beatsight_core.health.compare_baseline import (
    Baseline,
    BaselineFigures,
    GateVerdict,
    baseline_gates,
    class_changes,
    read_baseline,
)
from beatsight_core.health.corpus_gates import evaluate_gates
from beatsight_core.health.figures.event_figures import Histogram
from beatsight_core.health.figures.export_figures import ClipLevels, ExportFigures, SourceExport
from beatsight_core.health.figures.statistics import statistics
from beatsight_core.manifest.read_manifest import build_catalog
from beatsight_core.settings import GateSettings

TECHNIQUES = ["hihat_bark", "metric_modulation", "variable_meter", "multi_cymbal_same_class"]


def changed(figures, path, value):
    """Figures with another value at one place.

    Args:
        figures: Dataclass, mapping or tuple.
        path: Names of fields, keys of mappings and places of tuples that lead there.
        value: Value that stands there then.
    """
    if not path:
        return value
    first, *rest = path
    if isinstance(figures, Mapping):
        return {**figures, first: changed(figures.get(first), rest, value)}
    if isinstance(figures, tuple):
        return tuple(changed(one, rest, value) if at == first else one for at, one in enumerate(figures))
    return dataclasses.replace(figures, **{first: changed(getattr(figures, first), rest, value)})


def exported(hits, classes):
    """Figures of an export of one source set, without a lost hit."""
    nothing = Histogram((0, 1), (0,), 0)
    source = SourceExport("", hits, {"past_end": 0}, {}, 1, 1)
    levels = ClipLevels(nothing, nothing)
    return ExportFigures("", hits, {"past_end": 0}, (), {"takes": source}, classes, levels)


@pytest.fixture
def healthy(small_settings, corpus, drums):
    """Figures of a small corpus whose counts are raised to those of production."""
    catalog = build_catalog(small_settings, corpus(drums.take("a", techniques=TECHNIQUES) + drums.take("b")))
    figures = statistics(small_settings, catalog, build_inventory(small_settings, catalog))
    for label in figures.hits.classes:
        figures = changed(figures, ("hits", "classes", label, "hits"), 1000)
    return changed(figures, ("export",), exported(990, dict.fromkeys(figures.hits.classes, 990)))


def failing(figures, settings=None):
    return [gate.name for gate in evaluate_gates(figures, settings or GateSettings()) if not gate.passed]


def test_the_production_profile_has_the_figures_of_the_production_set():
    production = PROFILES["production"]
    assert production.min_counts == {
        "kick": 500, "snare": 500, "hihat_closed": 500, "hihat_open": 300, "hihat_pedal": 80, "hihat_foot_splash": 40,
        "ride_bow": 200, "ride_bell": 100, "crash": 200, "crash2": 200, "splash": 60, "china": 60, "tom_high": 150,
        "tom_mid": 150, "tom_low": 200, "rimshot": 80, "cross_stick": 60, "aux_percussion": 60,
    }  # fmt: skip
    assert production.max_duplication_rate == 0.005
    assert production.max_unknown_labels == 0
    assert list(production.required_techniques) == TECHNIQUES
    assert (production.max_missing_rate, production.max_missing_rate_per_source) == (0.001, 0.01)


def test_a_healthy_corpus_passes_every_gate_of_both_profiles(healthy):
    assert failing(healthy) == []
    assert failing(healthy, GateSettings(profile="demo")) == []


def test_hits_without_a_clip_do_not_count_once_there_is_an_export(healthy):
    healthy = changed(healthy, ("hits", "classes", "kick", "hits"), 499)
    assert failing(healthy) == []
    assert failing(changed(healthy, ("export",), None)) == ["hits with kick"]


WORSE = {
    "hits with kick": (("export", "classes", "kick"), 499),
    "events with technique hihat_bark": (("events", "techniques", "hihat_bark"), 0),
    "duplicated events": (("duplicates", "rate"), 0.0051),
    "unknown labels": (("unknown_labels", "gong"), 3),
    "events without usable audio": (("audio", "missing_events"), 1),
    "events of takes without usable audio": (("audio", "by_source", "takes", "unreadable_events"), 2),
    "hits without a clip": (("export", "rejected", "past_end"), 2),
    "hits of takes without a clip": (("export", "by_source", "takes", "rejected", "past_end"), 11),
    "events = events of all hits": (("reconciliation", 4, "gap"), 1),
    "sessions in more than one split": (("leakage", "sessions", "across"), 1),
    "audio files in more than one split": (("leakage", "audio", "across"), 1),
}


@pytest.mark.parametrize("name", WORSE)
def test_each_gate_fails_for_its_own_reason_only(healthy, name):
    worse = changed(healthy, *WORSE[name])
    assert failing(worse) == [name]
    gate = next(gate for gate in evaluate_gates(worse, GateSettings()) if gate.name == name)
    assert gate.margin < 0
    assert ": " in gate.message  # the finding, then what to do
    assert gate.to_json()["passed"] is False


def test_a_limit_that_is_just_met_is_met(healthy):
    healthy = changed(healthy, ("export", "classes", "kick"), 500)
    healthy = changed(healthy, ("duplicates", "rate"), 0.005)
    gates = {gate.name: gate for gate in evaluate_gates(healthy, GateSettings())}
    assert gates["hits with kick"].passed
    assert gates["hits with kick"].margin == 0
    assert gates["duplicated events"].passed


def test_audio_that_nobody_looked_for_is_no_pass(healthy):
    assert failing(changed(healthy, ("audio",), None)) == ["events without usable audio"]


def test_the_demo_profile_refuses_a_worse_corpus(healthy):
    healthy = changed(healthy, ("export", "classes", "splash"), 19)
    healthy = changed(healthy, ("audio", "missing_events"), 2)  # of 24
    healthy = changed(healthy, ("unknown_labels",), {"gong": 3})
    expected = ["hits with splash", "unknown labels", "events without usable audio"]
    assert failing(healthy, GateSettings(profile="demo")) == expected


def test_settings_beat_the_profile_value_by_value(healthy):
    own = GateSettings(min_counts={"kick": 1001}, max_unknown_labels=5, required_techniques=())
    healthy = changed(healthy, ("unknown_labels",), {"gong": 5})
    healthy = changed(healthy, ("events", "techniques"), {})
    assert failing(healthy, own) == ["hits with kick"]
    assert profile_of(own).min_counts["snare"] == 500
    assert profile_of(own).max_duplication_rate == 0.005


def test_zero_as_a_setting_is_zero_and_not_unset():
    assert profile_of(GateSettings(max_missing_rate=0.0)).max_missing_rate == 0.0


def test_a_minimum_for_an_unknown_component_is_an_error_with_a_suggestion(healthy):
    with pytest.raises(SettingsError, match="write tom_mid"):
        evaluate_gates(healthy, GateSettings(min_counts={"tom_mide": 5}))


def test_the_extended_taxonomy_is_held_to_the_counts_that_concern_it(healthy):
    from beatsight_core.taxonomy import EXTENDED

    healthy = changed(healthy, ("taxonomy",), "extended")
    counts = changed(healthy.hits.classes["kick"], ("hits",), 499)
    healthy = changed(healthy, ("hits", "classes"), dict.fromkeys(EXTENDED.components, counts))
    healthy = changed(healthy, ("export", "classes"), dict.fromkeys(EXTENDED.components, 499))
    assert failing(healthy) == ["hits with kick", "hits with snare_center", "hits with hihat_closed"]


def _baseline(figures):
    gates = tuple(GateVerdict(gate.name, gate.passed) for gate in evaluate_gates(figures, GateSettings()))
    return Baseline("key", "seal", gates=gates, statistics=BaselineFigures(figures.hits))


def _against(figures, baseline):
    gates = evaluate_gates(figures, GateSettings())
    changes = class_changes(figures.hits, baseline.statistics.hits)
    return baseline_gates(changes, gates, baseline, profile_of(GateSettings()))


def test_a_quarter_less_of_a_class_is_allowed_and_no_more(healthy):
    baseline = _baseline(healthy)
    fewer = changed(healthy, ("hits", "classes", "kick", "hits"), 750)
    assert all(gate.passed for gate in _against(fewer, baseline))
    drop, new = _against(changed(healthy, ("hits", "classes", "kick", "hits"), 749), baseline)
    assert (drop.passed, new.passed) == (False, True)
    assert "kick" in drop.message


def test_only_gates_that_newly_fail_count_against_the_baseline(healthy):
    healthy = changed(healthy, ("unknown_labels",), {"gong": 1})
    baseline = _baseline(healthy)
    assert all(gate.passed for gate in _against(healthy, baseline))
    new = _against(changed(healthy, ("leakage", "sessions", "across"), 1), baseline)[1]
    assert new.value == 1
    assert "sessions in more than one split" in new.message


def test_a_baseline_of_another_format_is_an_error(tmp_path):
    from beatsight_core.errors import DatasetError

    assert read_baseline(tmp_path) is None
    (tmp_path / "baseline.json").write_text('{"format": "other"}')
    with pytest.raises(DatasetError, match="The health baseline does not hold: it has another format"):
        read_baseline(tmp_path)


def test_gates_are_frozen(healthy):
    gate = evaluate_gates(healthy, GateSettings())[0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        gate.value = 0
