"""The verbs of manifests, as typed."""

import json

import pytest
from click.testing import CliRunner

from beatsight_core.cli.main import beatsight


def line(number, label):
    event = {
        "event_id": f"e{number}", "session_id": f"s{number % 2}", "source_set": "groove",
        "audio_path": f"{number % 2}.wav", "onset_time": number, "components": [{"label": label}],
        "techniques": ["flam"] if number == 1 else [],
    }  # fmt: skip
    return json.dumps(event) + "\n"


def lines(*numbers, label="kick"):
    return "".join(line(number, label) for number in numbers)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_text(lines(0, 1, 2))
    (tmp_path / "b.jsonl").write_text(lines(2, 3))

    def call(*arguments):
        return CliRunner().invoke(beatsight, ["manifest", *arguments, "--data-root", str(tmp_path / "data")])

    return call


def test_check_shows_counts_and_weights(run):
    result = run("check", "a.jsonl")
    assert result.exit_code == 0, result.output
    assert "3 lines, 3 kept, 0 rejected" in result.output
    assert "prod_combined" in result.output
    said = json.loads(run("check", "a.jsonl", "--json").stdout)
    assert said["sampling"]["by_source"]["groove"]["sessions"] == 2
    assert said["sampling"]["boosts"]["crash_dual_label"] == 0.85


def test_stats_counts_by_everything(run):
    said = json.loads(run("stats", "a.jsonl", "--json").stdout)
    assert said["by_source"]["groove"] == {"events": 3, "hits": 3, "sessions": 2, "files": 2, "weight": 0.5}
    assert said["by_label"]["kick"] == {"events": 3, "hits": 3}
    assert said["by_technique"] == {"flam": 1}
    assert sum(split["hits"] for split in said["by_split"].values()) == 3
    assert [(row["session_id"], row["events"], row["hits"]) for row in said["by_session"]] == [
        ("s0", 2, 2), ("s1", 1, 1),
    ]  # fmt: skip
    assert said["rejects"] == {}
    shown = run("stats", "a.jsonl")
    assert shown.exit_code == 0
    for word in ("Source sets", "Components", "flam", "The greatest of 2 sessions"):
        assert word in shown.output


def test_diff_says_what_the_second_has_over_the_first(run):
    said = json.loads(run("diff", "a.jsonl", "b.jsonl", "--json").stdout)
    assert (said["added"], said["dropped"], said["unchanged"]) == (1, 2, 1)
    assert run("diff", "a.jsonl", "b.jsonl").exit_code == 0


def test_merge_writes_once_and_says_what_it_left_out(run, tmp_path):
    result = run("merge", "a.jsonl", "b.jsonl", "-o", "out.jsonl")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out.jsonl").read_text() == lines(0, 1, 2, 3)
    again = run("merge", "a.jsonl", "b.jsonl", "-o", "out.jsonl")
    assert again.exit_code == 2
    assert "--force" in again.output
    assert json.loads(run("merge", "a.jsonl", "b.jsonl", "-o", "out.jsonl", "--force", "--json").stdout)["same"] == 1


def test_merge_exits_with_3_over_a_conflict_or_an_input_that_is_not_there(run, tmp_path):
    (tmp_path / "b.jsonl").write_text(lines(2, label="snare"))
    conflict = run("merge", "a.jsonl", "b.jsonl", "-o", "out.jsonl")
    assert conflict.exit_code == 3
    assert "event ids e2" in conflict.output
    assert not (tmp_path / "out.jsonl").exists()
    assert run("merge", "a.jsonl", "b.jsonl", "-o", "out.jsonl", "--on-conflict", "last").exit_code == 0
    assert run("merge", "a.jsonl", "absent.jsonl", "-o", "x.jsonl").exit_code == 3
    assert run("merge", "a.jsonl").exit_code == 2
    assert run("merge", "a.jsonl", "b.jsonl", "-o", "x.jsonl", "--on-conflict", "never").exit_code == 2


@pytest.mark.parametrize("verb", ["check", "stats", "diff", "merge"])
def test_every_verb_has_help(run, verb):
    result = run(verb, "--help")
    assert result.exit_code == 0
    assert "--json" in result.output
