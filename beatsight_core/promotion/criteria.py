"""The criteria, one by one: each a row of name, value, limit, margin, verdict and a sentence. Figures in, rows out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from beatsight_core.gates.release_limits import PROTECTED, Limit
from beatsight_core.metrics import MIN_POSITIVES
from beatsight_core.taxonomy import TAXONOMIES

CRITERIA = (
    "accuracy",
    *(f"f1_{label}" for label in PROTECTED),
    "loss",
    "exact_match",
    "no_class_worse",
    "slice_0.3",
    "evaluation_matches",
    "exported_model",
)
"""The names of all criteria, in the order they are judged."""

UNFORCEABLE = ("evaluation_matches", "exported_model")
"""No reason promotes a model that was not the one judged, or that does not load and agree elsewhere."""

TOLERANCE_EXPORT = 1e-3
"""An exported model's probabilities may differ from the trained one's by this much."""

_TITLES = {
    "accuracy": "accuracy",
    "exact_match": "exact match",
    "loss": "validation loss",
    **{f"f1_{label}": f"F1 of {label}" for label in PROTECTED},
}


def setting_of(name: str) -> str:
    """The setting that holds the limit of a criterion; empty for those that no setting moves."""
    if name == "slice_0.3":
        return "gates.probe"
    return f"gates.promotion.{name}" if name in _TITLES else ""


@dataclass(frozen=True, slots=True)
class Criterion:
    """One criterion as judged.

    Attributes:
        name: Stable, for scripts.
        title: For people.
        value: What was measured; None if it could not be.
        limit: What it is held against.
        sign: How the value must stand to the limit.
        margin: Distance to the limit, positive where it is met.
        passed: The verdict.
        message: A sentence with both.
        details: What it was made of, for a table.
    """

    name: str
    title: str
    value: float | None
    limit: float
    sign: str
    margin: float | None
    passed: bool
    message: str
    details: tuple[Mapping[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {**asdict(self), "details": [dict(row) for row in self.details]}


def figure_criteria(metrics: Mapping[str, Any], limits: Mapping[str, Limit]) -> list[Criterion]:
    """The criteria that are one figure each: accuracy, F1 of the protected components, loss, exact match."""
    return [_figure(name, metrics, limit) for name, limit in limits.items()]


def protected_label(label: str, classes: Iterable[str]) -> str | None:
    """A protected component as these classes spell it, or None if they lack it."""
    known = set(classes)
    spellings = [label, *(spelling for taxonomy in TAXONOMIES.values() if (spelling := taxonomy.resolve(label)))]
    return next((spelling for spelling in spellings if spelling in known), None)


def no_class_worse(changes: Mapping[str, Mapping[str, Any]], compared_with: str | None) -> Criterion:
    """No protected component is worse than the champion's beyond its bootstrap interval.

    Args:
        changes: Protected label -> difference, low and high of its F1 against the champion's, as
            `evaluation.compare_models` gives them.
        compared_with: Names the champion; None before the first.
    """
    worse = {label: change for label, change in changes.items() if _is_worse(change)}
    if compared_with is None:
        message = "there is no champion to compare with yet"
    elif worse:
        message = f"worse than {compared_with}: " + ", ".join(_told(label, change) for label, change in worse.items())
    else:
        message = f"against {compared_with}: " + ", ".join(_told(label, change) for label, change in changes.items())
    rows = [{"component": label, **change} for label, change in changes.items()]
    return _counted("no_class_worse", "protected components worse than the champion", len(worse), message, rows)


def slice_again(gates: Sequence[Mapping[str, Any]], too_rare: Sequence[str] = ()) -> Criterion:
    """A part of the validation hits, evaluated once more, is heard as a probe must be: rare cymbals and toms too.

    Args:
        gates: Of the slice's metrics, as `probe_gates.figure_gates` judges them.
        too_rare: Cymbals and toms that nobody judged, as `probe_gates.too_rare` names them.
    """
    failed = [gate["message"] for gate in gates if not gate["passed"]]
    message = "; ".join(failed) or f"accuracy and {len(gates) - 1} cymbals and toms are heard in it"
    message += f"; too rare in it to be judged: {', '.join(too_rare)}" if too_rare else ""
    names = ("name", "value", "limit", "passed")
    rows = [{name: gate[name] for name in names} for gate in gates]
    return _counted("slice_0.3", "gates not met on the 0.3 slice", len(failed), message, rows)


def evaluation_matches(mismatches: list[str], rows: Iterable[Mapping[str, Any]] = ()) -> Criterion:
    """The evaluation was made from exactly this checkpoint, dataset and spec.

    Args:
        mismatches: A sentence for each thing that does not belong.
        rows: What was compared.
    """
    message = "; ".join(mismatches) or "checkpoint, dataset, spec and thresholds are those evaluated"
    return _counted(
        "evaluation_matches", "evaluated things that are not the candidate's", len(mismatches), message, rows
    )


def exported_model(difference: float | None, message: str, rows: Iterable[Mapping[str, Any]] = ()) -> Criterion:
    """The exported model loads elsewhere and agrees with the trained one.

    Args:
        difference: The greatest difference of a probability over all exported forms; None if one did not load.
        message: What was seen.
        rows: The difference of each form.
    """
    limit = Limit(TOLERANCE_EXPORT, "≤")
    return Criterion(
        "exported_model", "difference of the exported model", difference, limit.value, limit.sign,
        limit.margin(difference), limit.is_met_by(difference), message, tuple(rows),
    )  # fmt: skip


def _figure(name: str, metrics: Mapping[str, Any], limit: Limit) -> Criterion:
    value, rows = _value_of(name, metrics), _figure_rows(name, metrics)
    shown = "was not measured: none of its hits were evaluated" if value is None else f"is {value:.4f}"
    passed = limit.is_met_by(value)
    message = f"{_TITLES[name]} {shown}, {'as' if passed else 'but'} {limit.sign} {limit.value:g} is asked for"
    message += _few(rows) if name.startswith("f1_") else ""
    return Criterion(name, _TITLES[name], value, limit.value, limit.sign, limit.margin(value), passed, message, rows)


def _value_of(name: str, metrics: Mapping[str, Any]) -> float | None:
    if not name.startswith("f1_"):
        value: float | None = metrics[name]
        return value
    label = protected_label(name.removeprefix("f1_"), metrics["per_class"])
    return metrics["per_class"][label]["f1"] if label else None


def _figure_rows(name: str, metrics: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Of a component's F1, what it is made of; of any other figure, the same on solo and on simultaneous hits."""
    if name.startswith("f1_"):
        label = protected_label(name.removeprefix("f1_"), metrics["per_class"])
        return ({"component": label, **metrics["per_class"][label]},) if label else ()
    parts = {"all": metrics, **{part: metrics[part] for part in ("solo", "simultaneous") if part in metrics}}
    return tuple({"hits": part, "count": block.get("hits"), name: block[name]} for part, block in parts.items())


def _few(rows: Sequence[Mapping[str, Any]]) -> str:
    """What is said of a component's F1 that rests on few strokes."""
    struck = rows[0]["positives"] if rows else 0
    return f"; only {struck} evaluated hits hold it: much of it is chance" if 0 < struck < MIN_POSITIVES else ""


def _counted(name: str, title: str, count: int, message: str, rows: Iterable[Mapping[str, Any]] = ()) -> Criterion:
    return Criterion(name, title, float(count), 0.0, "≤", float(-count), count == 0, message, tuple(rows))


def _is_worse(change: Mapping[str, Any]) -> bool:
    """Whether even the favourable end of the interval is a loss; without an interval, whether there is a loss."""
    end = change["high"] if change["high"] is not None else change["difference"]
    return end is not None and end < 0


def _told(label: str, change: Mapping[str, Any]) -> str:
    if change["difference"] is None:
        return f"{label} not measured"
    span = "" if change["low"] is None else f" (95 %: {change['low']:+.3f} to {change['high']:+.3f})"
    return f"{label} {change['difference']:+.3f}{span}"
