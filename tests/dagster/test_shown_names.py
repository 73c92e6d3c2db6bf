"""Names from data in Dagster's pages and lines: shown as they are, and read as nothing else."""

import os
from pathlib import Path

import dagster as dg
import pytest

from beatsight_core.settings import Settings
from beatsight_dagster import partitions
from beatsight_dagster.checks.specs import check_result
from beatsight_dagster.metadata import manifest_metadata, path, promotion_metadata, table, text
from beatsight_dagster.terminal.event_lines import EventPrinter

NAME = "kit|[x](javascript:alert(1))<img src=x>\u202e`\x1b[31m"


def test_notes_in_markdown_are_text() -> None:
    summary = {
        **dict.fromkeys(("kept", "read", "rejected", "hits", "sessions", "files", "duplicates"), 1),
        "events_by_source": {NAME: 1}, "hits_by_source": {NAME: 1}, "events_by_label": {NAME: 1}, "hits_by_label": {},
        "hits_by_split": {}, "rejects_by_reason": {NAME: 1}, "split_notes": [f"# {NAME}\n- forged", "plain"],
        "manifest": f"/{NAME}.jsonl",
    }  # fmt: skip
    shown = manifest_metadata(summary, Path("/catalog"))
    said = shown["split notes"].value
    assert len(said.splitlines()) == 2
    assert said.splitlines()[1] == "- plain"
    assert said.startswith(r"- \# kit\|\[x\](javascript:alert(1))&lt;img src=x&gt;")
    row = shown["by source set"].records[0].data
    assert row["source_set"] == "kit|[x](javascript:alert(1))<img src=x>\\u202e`\\x1b[31m"
    assert shown["manifest"].value.endswith("\\x1b[31m.jsonl")


def test_what_changed_in_a_file_cannot_close_its_fence() -> None:
    change = {"diff": f"-a\n+~~~~\n+~~~~~~\n+{NAME}"}
    result = {
        "infrastructure": [], "changes": [change], "run_id": NAME, "version": 1, "criteria": [], "notice": NAME,
        "untold": None, "current": "x", "card": "y",
    }  # fmt: skip
    said = promotion_metadata(result, Path("/record"))["changed in external files"].value
    fence = said.split("diff\n")[0]
    assert set(fence) == {"~"}
    assert said.endswith(f"\n{fence}")
    assert fence not in said.split("\n", 1)[1].rsplit("\n", 1)[0]


@pytest.mark.parametrize("shown", [text(NAME).value, path(NAME).value, table([{"a": NAME}]).records[0].data["a"],
                                   check_result("c", True, NAME).description])  # fmt: skip
def test_text_of_every_kind_shows_its_characters(shown: str) -> None:
    assert shown == "kit|[x](javascript:alert(1))<img src=x>\\u202e`\\x1b[31m"


def test_lines_for_a_terminal_are_one_line_each() -> None:
    said: list[str] = []
    with dg.instance_for_test() as instance:

        @dg.op
        def speaks(context: dg.OpExecutionContext) -> None:
            context.log.info(f"    {NAME}\nforged")
            raise RuntimeError(f"{NAME}\n✓ forged")

        @dg.job(tags={"who": "me"})
        def job() -> None:
            speaks()

        with EventPrinter(instance, {"who": "me"}, said.append):
            job.execute_in_process(instance=instance, raise_on_error=False)
    assert any("forged" in line for line in said)
    assert not [line for line in said if "\n" in line or "\x1b" in line or line.startswith(("✓", "forged"))]


def test_a_manifest_that_cannot_be_registered_holds_up_no_other(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BEATSIGHT_DATA_ROOT", str(settings.data_root))
    for name in ("DAGSTER_HOME", "DAGSTER_CLI_ASSET_LIST_MODULE_NAME"):
        monkeypatch.setenv(name, "")
    inbox = settings.manifests_dir
    inbox.mkdir()
    for name in (b"ev\xff.jsonl", b"\x1b[2J.jsonl", b"good.jsonl"):
        (inbox / os.fsdecode(name)).write_text("{}\n")
    (inbox / "gone.jsonl").symlink_to("nowhere.jsonl")
    assert partitions.main(["sync"]) == 0
    said = capsys.readouterr()
    assert said.err.count("Left out: ") == 3
    assert "\x1b" not in said.err + said.out
    assert "good-" in said.out
