"""What a terminal shows of gates: the same figures, signs and formats as the page of the same gates."""

import pytest

from beatsight_core.cli import text
from beatsight_core.cli.verbs.data import _show_health
from beatsight_core.gates.gate import Gate, at_least, at_most
from beatsight_core.pages.formats import shown


def test_gates_read_as_on_their_page(capsys: pytest.CaptureFixture[str]) -> None:
    gates = [
        Gate("hits with splash", 40, at_least(60), "too few"),
        Gate("duplicated events", 0.0012, at_most(0.005), "some", format="share"),
    ]
    text.gates([gate.to_json() for gate in gates], "Gates")
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split("  ") for line in lines]
    cells = {row[0].strip(): [cell.strip() for cell in row if cell.strip()] for row in rows}
    assert cells["FAIL"] == ["FAIL", "hits with splash", "40", "≥ 60"]
    assert cells["pass"] == ["pass", "duplicated events", "0.12 %", "≤ 0.50 %"]
    for gate in gates:
        assert any(shown(gate.value, gate.format) in line and gate.name in line for line in lines)
    assert lines[-1] == "FAIL hits with splash: too few"


def test_criteria_without_a_format_keep_their_digits(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"name": "accuracy", "value": 0.91234, "limit": 0.93, "sign": "≥", "passed": False, "message": "too low"},
        {"name": "finite", "value": None, "limit": 0.0, "passed": False},
    ]
    text.gates(rows, "Promotion criteria")
    said = capsys.readouterr().out
    assert "0.9123" in said
    assert "≥ 0.93" in said
    assert "FAIL    finite" in said


def test_a_terminal_tells_of_data_what_fails_no_gate(capsys: pytest.CaptureFixture[str]) -> None:
    notices = [{"state": "warn", "text": "No training hit holds china."}, {"state": "info", "text": "Kits are shared."}]
    gates = [Gate("unknown labels", 0, at_most(0), "none").to_json()]
    paths = {"report_html": "report.html", "report_json": "report.json"}
    _show_health({"key": "takes-1", "gates": gates, "tables": {"notices": notices, "out_of_time": []}, **paths})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "takes-1: all gates passed"
    assert "Look at this: No training hit holds china." in lines
    assert "Note: Kits are shared." in lines
