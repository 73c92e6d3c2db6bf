"""Every check of training, health and promotion, failing for its own reason and passing, from what core judges."""

import dataclasses
from typing import Any

import dagster as dg
import pytest

from beatsight_core.evaluation.confusion import WatchedPair
from beatsight_core.gates.gate import Gate, at_most
from beatsight_core.gates.release_limits import PROBE_PROFILES, PROFILES
from beatsight_core.metrics import ClassScores, Metrics, Scores
from beatsight_core.promotion import criteria as rules
from beatsight_core.promotion.champion_comparison import Difference
from beatsight_core.promotion.delivery.infrastructure import CHECKS
from beatsight_core.promotion.probe_gates import confusion_gates, figure_gates, too_rare
from beatsight_core.taxonomy import CORE
from beatsight_dagster.checks import dataset, promotion, training

LIMITS = PROBE_PROFILES["production"]


def failed(results: list[dg.AssetCheckResult]) -> list[str]:
    return [str(result.check_name) for result in results if not result.passed]


def history(val: list[float]) -> list[dict[str, float]]:
    return [{"train_loss": 0.7 / (place + 1), "val_loss": loss} for place, loss in enumerate(val)]


FALLING = [0.6, 0.5, 0.4, 0.3, 0.25, 0.2]


def metrics(figure: float = 0.95, **recalls: float) -> Metrics:
    per_class = {
        label: ClassScores(recall=recalls.get(label, 0.9), precision=0.9, f1=figure, ap=0.9, positives=50)
        for label in CORE.components
    }
    block = Scores(accuracy=figure, exact_match=figure, loss=1 - figure, hits=100)
    return Metrics(
        accuracy=figure, exact_match=figure, loss=1 - figure, hits=100, per_class=per_class, solo=block,
        simultaneous=block,
    )  # fmt: skip


def probe_record(found: Metrics, growth: int = 0) -> dict[str, Any]:
    before, after = ({"pair": WatchedPair(count, 0, 1000, count / 1000)} for count in (50, 50 + growth))
    gates = [gate.to_json() for gate in (*figure_gates(found, LIMITS), *confusion_gates(before, after, LIMITS))]
    return {"gates": gates, "too_rare": too_rare(found, LIMITS)}


def test_the_losses_have_two_checks() -> None:
    assert failed(training.results(history(FALLING), 1)) == []
    assert failed(training.results(history([0.6, float("nan")]), 1)) == ["finite"]
    assert failed(training.results(history([0.3] * 8), 1)) == ["curves"]
    (_, curves) = training.results(history([0.3] * 8), 1)
    assert "validation loss" in str(curves.description)
    assert {"gates", "failed gates"} == set(curves.metadata)
    assert [spec.blocking for spec in training.specs("baseline_model")] == [True, False]


@pytest.mark.parametrize(
    ("found", "growth", "said"),
    [
        (metrics(), 0, None),
        (metrics(0.71), 0, "accuracy is 0.710, must be at least 0.72"),
        (metrics(china=0.2), 0, "recall china is 0.200, must be above 0.25"),
        (metrics(), 60, "taken for each other in 11.00% of 1,000 strokes, before in 5.00%"),
    ],
)
def test_the_probe_has_one_with_a_table_and_a_picture(found: Metrics, growth: int, said: str | None) -> None:
    check = training.results(history(FALLING), 1, probe_record(found, growth))[-1]
    assert check.check_name == training.PROBE_GATE
    assert check.passed == (said is None)
    assert said is None or said in str(check.description)
    assert {"gates", "picture"} <= set(check.metadata)
    assert check.metadata["too rare to be judged"].value == "none"


def criteria(**changed: Any) -> dict[str, Any]:
    """The rows of a judgement; a figure, or one of the four others, made to fail."""
    found = metrics()
    for name, value in changed.items():
        if name.startswith("f1_"):
            label = name.removeprefix("f1_")
            scores = dataclasses.replace(found.per_class[label], f1=value)
            found = dataclasses.replace(found, per_class={**found.per_class, label: scores})
        elif name in ("accuracy", "loss", "exact_match"):
            found = dataclasses.replace(found, **{name: value})
    change = Difference(difference=-0.1, low=-0.2, high=-0.05 if "no_class_worse" in changed else 0.05)
    heard = figure_gates(metrics(0.5 if "slice" in changed else 0.9), LIMITS)
    rows = [
        *(rules.figure_gate(name, found, limit) for name, limit in PROFILES["production"].items()),
        rules.no_class_worse({"kick": change}, "version 1"),
        rules.slice_again(heard),
        rules.evaluation_matches(["of another checkpoint"] if "evaluation" in changed else [], [{"of": "checkpoint"}]),
        rules.exported_model(None if "export" in changed else 1e-6, "", [{"form": "model.onnx", "difference": 1e-6}]),
    ]
    return {"criteria": [row.to_json() for row in rows]}


FAILURES = [
    ("accuracy", {"accuracy": 0.92}),
    ("f1_kick", {"f1_kick": 0.9}),
    ("f1_snare", {"f1_snare": 0.5}),
    ("f1_crash", {"f1_crash": 0.0}),
    ("loss", {"loss": 0.46}),
    ("exact_match", {"exact_match": 0.79}),
    ("no_class_worse", {"no_class_worse": True}),
    ("slice_0.3", {"slice": True}),
    ("evaluation_matches", {"evaluation": True}),
    ("exported_model", {"export": True}),
]


def test_the_checks_are_the_criteria_and_all_block() -> None:
    assert tuple(spec.name for spec in promotion.SPECS[:-1]) == rules.CRITERIA == tuple(name for name, _ in FAILURES)
    assert all(spec.blocking for spec in promotion.SPECS)
    assert failed(promotion.results(criteria())) == []


@pytest.mark.parametrize(("name", "changed"), FAILURES)
def test_each_criterion_is_a_check_with_figures_and_a_table(name: str, changed: dict[str, Any]) -> None:
    results = promotion.results(criteria(**changed))
    assert failed(results) == [name]
    (bad,) = [result for result in results if not result.passed]
    assert bad.severity == dg.AssetCheckSeverity.ERROR
    assert {"value", "limit", "margin", "made of", "failed gates"} == set(bad.metadata)
    forced = {
        str(result.check_name): result.severity for result in promotion.results(criteria(**changed), forced="why")
    }
    stays = dg.AssetCheckSeverity.ERROR if name in rules.UNFORCEABLE else dg.AssetCheckSeverity.WARN
    assert forced[name] == stays


@pytest.mark.parametrize("name", CHECKS)
def test_what_makes_a_version_unfit_fails_its_check(name: str) -> None:
    good = [Gate(each, 0.0, at_most(1.0), "as it should be").to_json() for each in CHECKS]
    assert promotion.fitness(good).passed
    bad = [{**row, "passed": row["name"] != name, "message": f"{row['name']} is not"} for row in good]
    result = promotion.fitness(bad)
    assert (result.passed, result.description) == (False, f"{name} is not")
    assert len(result.metadata["gates"].records) == len(CHECKS)


@pytest.mark.parametrize("group", dataset.HEALTH_GROUPS)
def test_each_group_of_health_gates_is_a_check(group: str) -> None:
    good, bad = (Gate("a gate", value, at_most(1), "found", do="mend it", group=group).to_json() for value in (1, 2))
    assert failed(dataset.health_results({"gates": [good]})) == []
    assert failed(dataset.health_results({"gates": [good, bad]})) == [group]
