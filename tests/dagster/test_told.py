"""A terminal is told what failed: each gate with value and limit, where the report lies; no trace for a wrong word."""

import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from beatsight_core.gates.gate import Gate, at_least, at_most
from beatsight_dagster import command_endings
from beatsight_dagster.checks import training
from beatsight_dagster.checks.dataset import health_results
from beatsight_dagster.checks.specs import check_result, gates_result
from beatsight_dagster.checks.told import tell_failures
from beatsight_dagster.failures import plain_failures


class Log:
    """A step's context whose log is kept."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.log = SimpleNamespace(
            error=lambda line: self.lines.append(("ERROR", line)),
            warning=lambda line: self.lines.append(("WARNING", line)),
        )


def said(event: Any) -> list[tuple[str, str]]:
    context = Log()
    tell_failures(context, event)
    return context.lines


GATES = [
    Gate("lines refused", 0.5, at_most(0.001), "half", "mend", format="share", group="rejects", setting="gates.a"),
    Gate("hits with kick", 3, at_least(500), "few", "add", group="counts"),
    Gate("hits with snare", 900, at_least(500), "", group="counts"),
    Gate("misalignment of a, ms", None, at_most(10.0), "not heard", format="decimal", group="sound"),
]


def test_every_failed_gate_is_told_with_value_limit_and_report() -> None:
    checks = health_results({"gates": [gate.to_json() for gate in GATES]})
    metadata = {"report": dg.MetadataValue.path("/r/report.html"), "report as JSON": dg.MetadataValue.path("/r/a.json")}
    assert said(dg.MaterializeResult(metadata=metadata, check_results=checks)) == [
        ("ERROR", "Check rejects failed: lines refused: 50.0 %, must be ≤ 0.10 %. half: mend; the setting is gates.a"),
        ("ERROR", "Check counts failed: hits with kick: 3, must be ≥ 500. few: add"),
        ("ERROR", "Check sound failed: misalignment of a, ms: not measured, must be ≤ 10.000. not heard"),
        ("ERROR", "All of it: /r/a.json"),
    ]


def test_what_passed_is_not_told() -> None:
    good = gates_result("counts", [GATES[2].to_json()])
    assert said(dg.MaterializeResult(check_results=[good])) == said(good) == said(dg.Output(1)) == said(None) == []


def test_a_check_of_another_kind_tells_its_description() -> None:
    assert said(check_result("coverage", False, "90 % of 10 clips")) == [
        ("ERROR", "Check coverage failed: 90 % of 10 clips")
    ]
    forced = check_result("accuracy", False, "too low")._replace(severity=dg.AssetCheckSeverity.WARN)
    assert said(forced) == [("WARNING", "Check accuracy failed: too low")]


def test_the_check_of_one_of_several_partitions_names_it() -> None:
    evaluation = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("dataset"), check_name="coverage", passed=False, metadata={}, partition="m-1|kits",
        description="2 of 3 hits have no clip",
    )  # fmt: skip
    assert said(evaluation) == [("ERROR", "Check coverage (m-1|kits) failed: 2 of 3 hits have no clip")]


def test_the_verdict_of_a_probe_is_told() -> None:
    gates = [
        {"name": "accuracy", "value": 0.1, "limit": 0.72, "margin": -0.62, "passed": False, "sign": "≥",
         "format": "decimal", "message": "accuracy is 0.100", "setting": "gates.probe.accuracy"},
        {"name": "finite", "value": 0.0, "limit": 0.0, "margin": 0.0, "passed": True, "message": "all are numbers"},
    ]  # fmt: skip
    history = [{"epoch": 1, "train_loss": 0.5, "val_loss": 0.5}]
    found = training.results(history, 1, {"gates": gates, "too_rare": []})
    assert said(dg.MaterializeResult(check_results=found)) == [
        (
            "ERROR",
            "Check probe_gate failed: accuracy: 0.100, must be ≥ 0.720. accuracy is 0.100; the setting is "
            "gates.probe.accuracy",
        )
    ]


def test_no_character_of_the_data_steers_the_terminal() -> None:
    assert said(check_result("coverage", False, "a\x1b[2Jb")) == [("ERROR", "Check coverage failed: a\\x1b[2Jb")]


@pytest.mark.parametrize("generates", [True, False])
def test_every_asset_is_told_of_by_its_decorator(generates: bool) -> None:
    result = dg.MaterializeResult(check_results=[check_result("coverage", False, "half")])

    def plain(context: Log) -> dg.MaterializeResult:
        return result

    def generator(context: Log) -> Any:
        yield result

    context = Log()
    done = plain_failures(generator if generates else plain)(context)
    assert (list(done) if generates else [done]) == [result]
    assert context.lines == [("ERROR", "Check coverage failed: half")]


@pytest.fixture
def empty_home(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))


class DagsterInvalidSubsetError(Exception):
    """As Dagster raises it."""


DagsterInvalidSubsetError.__module__ = "dagster._core.errors"
UNKNOWN = "All selected assets must have a PartitionsDefinition containing the passed partition key `nope`."


def test_a_wrong_partition_names_those_that_are_registered(empty_home: None) -> None:
    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions("manifests", [f"m-{number}" for number in range(12)])
    told = str(command_endings.explained_ending(DagsterInvalidSubsetError(UNKNOWN)))
    assert "Registered are: m-0, m-1" in told
    assert "2 more" in told
    assert "beatsight_dagster.partitions add" in told


def test_a_forgotten_home_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    told = str(command_endings.explained_ending(DagsterInvalidSubsetError(UNKNOWN)))
    assert "DAGSTER_HOME is not set" in told
    assert "python -m beatsight_dagster.instance" in told


def test_what_is_not_of_dagster_keeps_its_trace() -> None:
    assert command_endings.explained_ending(ValueError("partition")) is None


@pytest.mark.parametrize(
    ("words", "ends"),
    [
        (["/x/bin/dagster", "asset", "materialize"], True),
        (["/x/dagster/__main__.py", "job", "execute"], True),
        (["/x/bin/dagster", "dev"], False),
        (["/x/bin/pytest", "asset", "materialize"], False),
        ([], False),
    ],
)
def test_only_commands_of_dagster_that_work_end_so(
    monkeypatch: pytest.MonkeyPatch, words: list[str], ends: bool
) -> None:
    monkeypatch.setattr(sys, "excepthook", before := sys.excepthook)
    assert command_endings.end_plainly(words) is ends
    assert (sys.excepthook is not before) is ends


def test_the_command_itself_ends_in_one_paragraph(tmp_path: Any) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "dagster", "asset", "materialize", "-m", "beatsight_dagster.definitions",
         "--select", "manifest", "--partition", "nope"],
        env={**environment, "BEATSIGHT_DATA_ROOT": str(tmp_path)}, cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert "DAGSTER_HOME is not set" in line
