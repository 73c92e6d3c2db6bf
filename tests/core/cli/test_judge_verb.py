"""`beatsight judge`: a new gate record on purpose, where promote refuses the old one."""

import json
from typing import Any

from click.testing import CliRunner

from beatsight_core.cli.main import beatsight
from beatsight_core.gates.record import PROMOTION_RECORD
from beatsight_core.runs.records import open_run
from beatsight_core.settings import Settings


def call(settings: Settings, *words: str) -> Any:
    return CliRunner().invoke(beatsight, [*words, "--device", "cpu", "--data-root", str(settings.data_root), "--json"])


def test_a_stale_record_is_refused_until_the_run_is_judged_again(trained: tuple[Settings, str]) -> None:
    settings, run_id = trained
    path = open_run(settings, run_id).folder / PROMOTION_RECORD.file
    first = call(settings, "judge", run_id)
    assert (first.exit_code, json.loads(first.stdout)["passed"]) == (0, True), first.output
    file = settings.data_root / "beatsight.toml"
    plain = file.read_text()
    file.write_text(plain + "[gates.promotion]\naccuracy = 0.9999\n")
    before = path.read_bytes()
    refused = call(settings, "promote", run_id)
    assert refused.exit_code == 1
    said = json.loads(refused.stdout)["error"]
    assert "these changed: accuracy (was 0.8, is 0.9999)" in said["what"]
    assert f"beatsight judge {run_id}" in said["do"]
    assert path.read_bytes() == before
    again = call(settings, "judge", run_id)
    assert (again.exit_code, json.loads(again.stdout)["failed"]) == (1, ["accuracy"])
    assert json.loads(call(settings, "promote", run_id).stdout)["promoted"] is False
