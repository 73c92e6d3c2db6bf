"""What the costly presets must have behind them, by the records on disk."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from beatsight_core.cli.main import beatsight
from beatsight_core.dataset.index import dataset_key
from beatsight_core.errors import GateError, UsageError
from beatsight_core.files import file_name
from beatsight_core.health.report import run_health
from beatsight_core.promotion.clearance import HEALTH, PROBE, require_clearance
from beatsight_core.promotion.health_record import require_health
from beatsight_core.settings import Settings

Edit = Callable[[Callable[[dict[str, Any]], None]], None]


@pytest.fixture
def judged(trained: tuple[Settings, str]) -> tuple[Settings, str, Edit]:
    """A trained data root with a health report, made to have passed; its key; and a way to change the report."""
    settings, _ = trained
    key = dataset_key(settings, "tiny.jsonl")
    run_health(settings, key)
    path = settings.health_dir / file_name(key) / "report.json"

    def edit(change: Callable[[dict[str, Any]], None]) -> None:
        report = json.loads(path.read_bytes())
        change(report)
        path.write_text(json.dumps(report))

    def heal(report: dict[str, Any]) -> None:
        report["passed"] = True
        for gate in report["gates"]:
            gate["passed"] = True

    edit(heal)
    return settings, key, edit


def test_a_report_of_this_dataset_that_passed_is_enough(judged: tuple[Settings, str, Edit]) -> None:
    settings, key, _ = judged
    assert all(gate["passed"] for gate in require_health(settings, key))
    assert require_clearance(settings, key, "baseline") == {}


def test_failed_gates_are_named(judged: tuple[Settings, str, Edit]) -> None:
    settings, key, edit = judged

    def fail(report: dict[str, Any]) -> None:
        report["passed"] = report["gates"][1]["passed"] = False

    edit(fail)
    with pytest.raises(GateError, match=r"1 of \d+ health gates failed: hits with \w+ \("):
        require_health(settings, key)


def test_a_report_of_another_state_of_things_does_not_count(judged: tuple[Settings, str, Edit]) -> None:
    settings, key, edit = judged
    strict = replace(settings, gates=replace(settings.gates, profile="production"))
    with pytest.raises(GateError, match="judged by the 'demo' profile, and 'production' holds"):
        require_health(strict, key)
    edit(lambda report: report["statistics"]["export"].update(digest="of another dataset"))
    with pytest.raises(GateError, match="another state of the dataset"):
        require_health(settings, key)
    edit(lambda report: report.pop("statistics"))
    with pytest.raises(GateError, match="cannot be read"):
        require_health(settings, key)


def test_the_probe_needs_no_record_and_the_others_do(settings: Settings) -> None:
    assert require_clearance(settings, "m-1", "warmup") == {}
    for preset in ("baseline", "long_run"):
        with pytest.raises(GateError, match="no health report of this manifest"):
            require_clearance(settings, "m-1", preset)


def test_a_reason_lets_one_go_on_and_is_kept(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(GateError, match="no finished warm-up probe"):
        require_clearance(settings, "m-1", "long_run", despite={HEALTH: "only a trial"})
    waived = require_clearance(settings, "m-1", "long_run", despite={HEALTH: "only a trial", PROBE: "only a trial"})
    assert set(waived) == {HEALTH, PROBE}
    assert waived[HEALTH].startswith("only a trial (refused: There is no health report")
    with pytest.raises(UsageError, match="blank reason"):
        require_clearance(settings, "m-1", "long_run", despite={HEALTH: " "})


def call(root: Path, *words: str) -> Any:
    return CliRunner().invoke(beatsight, [*words, "--device", "cpu", "--data-root", str(root), "--json"])


@pytest.mark.parametrize("preset", ["baseline", "long_run"])
def test_the_command_line_asks_as_the_graph_does(trained: tuple[Settings, str], preset: str) -> None:
    settings, _ = trained
    words = ["train", "tiny.jsonl", "--preset", preset, "--set", "epochs=1", "--set", "batch=16"]
    refused = call(settings.data_root, *words)
    assert refused.exit_code == 1
    assert "no health report" in json.loads(refused.stdout)["error"]["what"]
    assert not list(settings.run_root.glob(f"{preset}-*"))
    if preset == "baseline":
        done = call(settings.data_root, *words, "--despite", "a test of the whole")
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["despite"]["health"].startswith("a test of the whole (refused: ")
