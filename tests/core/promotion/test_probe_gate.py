"""What a warm-up probe must reach before a long run, and which run is meant where none is named."""

from dataclasses import replace

import pytest

from beatsight_core.errors import ModelError
from beatsight_core.evaluation.confusion import WatchedPair
from beatsight_core.features.spec import FeatureSpec
from beatsight_core.files import write_json
from beatsight_core.gates.gate import Gate
from beatsight_core.gates.release_limits import PROBE_PROFILES, ProbeLimits
from beatsight_core.metrics import ClassScores, Metrics
from beatsight_core.promotion.criteria import evaluation_matches, no_class_worse, slice_again
from beatsight_core.promotion.probe_gates import confusion_gates, figure_gates, too_rare
from beatsight_core.runs.candidate import candidate, newest_run
from beatsight_core.runs.presets import TrainingConfig
from beatsight_core.settings import Settings
from beatsight_core.taxonomy import CORE
from beatsight_core.typed_json import to_json


def metrics(accuracy: float | None = 0.8, **recalls: float) -> Metrics:
    """Metrics in which every component has enough hits and a good recall, save those named."""
    per_class = {label: ClassScores(recall=recalls.get(label, 0.9), positives=50) for label in CORE.components}
    return Metrics(accuracy=accuracy, per_class=per_class)


def with_positives(found: Metrics, **positives: int) -> Metrics:
    """The same metrics with other numbers of hits."""
    changed = {label: replace(found.per_class[label], positives=count) for label, count in positives.items()}
    return replace(found, per_class={**found.per_class, **changed})


def failed(found: Metrics, profile: str = "production") -> list[str]:
    return [gate.name for gate in figure_gates(found, PROBE_PROFILES[profile]) if not gate.passed]


def test_a_healthy_probe_passes_every_gate() -> None:
    gates = figure_gates(metrics(), PROBE_PROFILES["production"])
    judged = {gate.name.removeprefix("recall_") for gate in gates} - {"accuracy"}
    assert judged == set(CORE.group("cymbals")) | set(CORE.group("toms"))
    assert all(gate.passed and gate.margin is not None and gate.margin > 0 for gate in gates)


def test_accuracy_may_equal_its_limit_and_recall_may_not() -> None:
    assert failed(metrics(accuracy=0.72)) == []
    assert failed(metrics(accuracy=0.7199)) == ["accuracy"]
    assert failed(metrics(china=0.25, tom_low=0.2501)) == ["recall_china"]


def test_a_component_with_few_hits_is_not_judged() -> None:
    few = metrics(splash=0.0)
    assert failed(with_positives(few, splash=19)) == []
    assert failed(with_positives(few, splash=20)) == ["recall_splash"]


def test_who_is_too_rare_to_be_judged_is_told() -> None:
    few, limits = metrics(), PROBE_PROFILES["production"]
    assert too_rare(few, limits) == []
    few = with_positives(few, splash=19, china=0, tom_low=20, kick=0)
    assert too_rare(few, limits) == ["splash", "china"]
    row = slice_again(figure_gates(few, limits), too_rare(few, limits))
    assert row.passed
    assert row.message.endswith("are heard in it; too rare in it to be judged: splash, china")


def test_kick_and_hats_are_not_the_probes_business() -> None:
    assert failed(metrics(kick=0.0, hihat_closed=0.0)) == []


def test_what_was_not_measured_fails() -> None:
    (gate,) = [
        gate for gate in figure_gates(metrics(accuracy=None), PROBE_PROFILES["production"]) if gate.name == "accuracy"
    ]
    assert not gate.passed
    assert gate.margin is None
    assert gate.message == "accuracy was not measured, must be at least 0.72"


def test_the_demo_profile_asks_for_less() -> None:
    assert failed(metrics(accuracy=0.5, china=0.1), "demo") == []
    assert failed(metrics(accuracy=0.3, china=0.0), "demo") == ["accuracy", "recall_china"]


def make_run(settings: Settings, run_id: str, preset: str, key: str, found: Metrics | None) -> None:
    folder = settings.run_root / run_id
    config = TrainingConfig(preset=preset, epochs=1, schedule="cosine", lr=1e-3, batch=8)
    identity = {
        "run_id": run_id,
        "preset": preset,
        "key": key,
        "source_sets": ["a"],
        "config": config.to_json(),
        "classes": list(CORE.components),
        "spec": FeatureSpec.from_settings(settings).to_json(),
        "digests": {"dataset": "d", "spec": "s"},
    }
    write_json(folder / "config.json", identity)
    if found is not None:
        write_json(folder / "metrics.json", {"metrics": to_json(found)})


def test_a_confusion_may_grow_by_what_chance_explains_and_no_more() -> None:
    limits = PROBE_PROFILES["production"]

    def pair(confused: int, struck: int = 1000) -> dict[str, WatchedPair]:
        return {"hihat and snare": WatchedPair(confused, 0, struck, confused / struck if struck else None)}

    def judged(before: int, after: int, limits: ProbeLimits = limits) -> Gate:
        (gate,) = confusion_gates(pair(before), pair(after), limits)
        return gate

    assert judged(50, 20).passed
    assert judged(50, 50).passed
    assert judged(50, 60).passed
    grown = judged(50, 90)
    assert not grown.passed
    assert grown.name == "confusion_hihat_and_snare"
    assert grown.value == pytest.approx(0.04)
    assert "9.00% of 1,000 strokes, before in 5.00%" in grown.message
    assert judged(50, 90, ProbeLimits(0.72, 0.25, max_confusion_growth=0.03)).passed
    (first,) = confusion_gates(None, pair(90), limits)
    assert first.passed
    assert "nothing earlier to compare with" in first.message
    assert confusion_gates(pair(0, 0), pair(3), limits)[0].passed


def test_the_candidate_is_the_run_named_or_the_newest_finished(settings: Settings) -> None:
    make_run(settings, "warmup-a", "warmup", "m-1", metrics())
    make_run(settings, "baseline-b", "baseline", "m-1", metrics())
    make_run(settings, "long_run-c", "long_run", "m-1", None)
    assert candidate(settings, "m-1").run_id == "baseline-b"
    assert candidate(settings, "m-1", "warmup").run_id == "warmup-a"
    assert newest_run(settings, "m-2") is None
    with pytest.raises(ModelError, match="No run of manifest m-2 is finished"):
        candidate(settings, "m-2")
    with pytest.raises(ModelError, match="'long_run-c' is not finished"):
        candidate(settings, "m-1", "long_run-c")


def test_limits_that_count_are_written_as_in_earlier_records() -> None:
    gates = [no_class_worse({}, None), slice_again([]), evaluation_matches([])]
    assert [repr(gate.to_json()["limit"]) for gate in gates] == ["0.0"] * 3  # a record with 0 would be another one
