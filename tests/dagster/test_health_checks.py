"""Gates of a health report as checks of its asset: each group fails for its own gates, and says why."""

import pytest

from beatsight_core.gates.gate import Gate, at_most
from beatsight_dagster.checks.dataset import HEALTH_GROUPS, HEALTH_SPECS, health_results


def gate(group, value):
    return Gate(f"a gate of {group}", value, at_most(1.0), f"{value} found", do="mend it", group=group).to_json()


def test_every_group_has_a_blocking_check():
    assert [spec.name for spec in HEALTH_SPECS] == list(HEALTH_GROUPS)
    assert all(spec.blocking for spec in HEALTH_SPECS)


@pytest.mark.parametrize("group", HEALTH_GROUPS)
def test_a_failed_gate_fails_the_check_of_its_group_only(group):
    gates = [gate(name, 2.0 if name == group else 0.5) for name in HEALTH_GROUPS]
    found = {result.check_name: result for result in health_results({"gates": gates})}
    assert [name for name, result in found.items() if not result.passed] == [group]
    assert found[group].description == "2.0 found: mend it"
    passed = {result.check_name: result.passed for result in health_results({"gates": [gate(group, 1.0)]})}
    assert all(passed.values())


def test_a_group_without_gates_says_why_there_are_none():
    said = {result.check_name: result.description for result in health_results({"gates": []})}
    assert said["baseline"].startswith("No baseline is approved")
    assert said["sound"].startswith("Nothing was exported yet")
    assert said["audio"] == "Nothing to judge"
