"""One gate for everything that is judged: margin, verdict and texts follow from its parts; readers compute nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beatsight_core.gates.gate import Gate, Limit, above, at_least, at_most, written, written_rows

FIGURES = st.floats(-1e6, 1e6)
LIMITS = st.builds(lambda make, value: make(value), st.sampled_from([at_least, above, at_most]), FIGURES)


@given(st.none() | FIGURES, LIMITS)
def test_verdict_and_margin_agree_and_survive_json(value: float | None, limit: Limit) -> None:
    gate = Gate("a", value, limit, "found", do="mend it", setting="gates.a")
    assert gate.passed == (value is not None and (gate.margin > 0 or (gate.margin == 0 and limit.sign != ">")))
    row = gate.to_json()
    again = Gate.from_json(row)
    assert (again.value, again.limit, again.passed, again.margin) == (
        gate.value,
        gate.limit,
        row["passed"],
        row["margin"],
    )
    assert again.message == gate.message
    assert written(again) == written(gate)


@given(FIGURES, LIMITS)
def test_a_row_without_a_sign_keeps_its_verdict(value: float, limit: Limit) -> None:
    row = Gate("a", value, limit, "found").to_json()
    if value != limit.value:
        assert Gate.from_json({**row, "sign": None}).passed == row["passed"]


def test_only_a_failed_gate_says_what_to_do() -> None:
    good, bad = (Gate("a", value, at_most(1), "found", do="mend it", setting="gates.a") for value in (1, 2))
    assert good.message == "found"
    assert bad.message == "found: mend it; the setting is gates.a"
    assert written(bad).finding == bad.message
    assert written(Gate("a", 2, at_most(1), "found", setting="gates.a")).finding == "found; the setting is gates.a"


@pytest.mark.parametrize(
    ("gate", "value", "limit"),
    [
        (Gate("a", 0.0012, at_most(0.005), "", format="share"), "0.12 %", "≤ 0.50 %"),
        (Gate("a", 0.25, above(0.25), "", format="decimal"), "0.250", "> 0.250"),
        (Gate("a", 0.9999, at_least(1.0), "", format="decimal"), "1.000 (0.9999)", "≥ 1.000"),
        (Gate("a", None, at_least(1.0), "", format="decimal"), "not measured", "≥ 1.000"),
        (Gate("a", 61.25, at_most(50), "", format="milliseconds"), "61.25 ms", "≤ 50 ms"),
        (Gate("a", 64.04, at_most(64), "", format="megabytes"), "64.0 MB (64.04)", "≤ 64.0 MB"),
    ],
)
def test_value_and_limit_have_sign_and_unit_and_rounding_hides_no_failure(gate: Gate, value: str, limit: str) -> None:
    assert (written(gate).value, written(gate).limit) == (value, limit)


@pytest.mark.parametrize("row", [{}, {"name": 1, "value": 1, "limit": 1}, {"name": "a", "value": "1", "limit": 1}])
def test_what_is_no_gate_is_refused(row: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="no gate"):
        written_rows([row])
