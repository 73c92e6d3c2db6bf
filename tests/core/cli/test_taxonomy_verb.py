"""The labels that a manifest may use: listed by a verb, and suggested where another one was written."""

import json

import pytest
from click.testing import CliRunner

from beatsight_core.cli.main import beatsight
from beatsight_core.manifest.refused import with_suggestions
from beatsight_core.taxonomy import TAXONOMIES


def test_taxonomy_lists_every_label_of_both_sets_in_class_order():
    listed = json.loads(CliRunner().invoke(beatsight, ["taxonomy", "--json"]).stdout)["taxonomies"]
    assert {known["name"]: [row["label"] for row in known["components"]] for known in listed} == {
        name: list(taxonomy.components) for name, taxonomy in TAXONOMIES.items()
    }


def test_taxonomy_shows_groups_aliases_and_notes_in_a_terminal():
    shown = CliRunner().invoke(beatsight, ["taxonomy"])
    assert shown.exit_code == 0, shown.output
    assert "Taxonomy core, version 1: 18 components" in shown.output
    (row,) = [line.split() for line in shown.output.splitlines() if "hihat_splash" in line]
    assert row == ["9", "hihat_splash", "hats", "26", "hihat_foot_splash"]


@pytest.fixture
def check(tmp_path):
    """Write one event per set of labels, and let `manifest check` or `stats` look at them."""

    def call(verb, *labels, as_json=False):
        events = (
            {
                "event_id": str(number), "session_id": "s", "source_set": "mine", "audio_path": "a.wav",
                "onset_time": number, "components": [{"label": label} for label in group],
            }
            for number, group in enumerate(labels)
        )  # fmt: skip
        (tmp_path / "m.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
        words = ["manifest", verb, str(tmp_path / "m.jsonl"), "--data-root", str(tmp_path / "data")]
        return CliRunner().invoke(beatsight, words + ["--json"] * as_json)

    return call


@pytest.mark.parametrize("verb", ["check", "stats"])
def test_unknown_labels_are_counted_with_a_suggestion_each(check, verb):
    shown = check(verb, ["Kick", "hi-hat"], ["Kick"], ["gong"], ["kick"])
    rows = {line.split()[0]: line.rstrip().split(maxsplit=2)[1:] for line in shown.output.splitlines() if line.strip()}
    assert rows["Kick"] == ["2", "did you mean kick?"]
    assert rows["hi-hat"][1].startswith("did you mean hihat_closed, hihat_open,")
    assert rows["gong"] == ["1"]
    assert set(json.loads(check(verb, ["Kick"], ["kick"], as_json=True).stdout)["suggestions"]) == {"Kick"}
    assert "taxonomy lacks" not in check(verb, ["kick"]).output


def test_the_gate_of_refused_lines_says_what_may_be_meant(check):
    result = check("check", ["Kick", "gong"], ["kick"])
    assert result.exit_code == 1
    assert 'lacks label "Kick" (did you mean kick?), "gong"' in result.output


def test_a_manifest_of_nothing_but_other_labels_says_so_too(check):
    result = check("check", ["Kick"])
    assert result.exit_code == 3
    assert 'lacks label "Kick" (did you mean kick?)' in result.output


@pytest.mark.parametrize(
    "message",
    [
        'audio_path names no file: "Kick"',
        'components: the other taxonomy lacks label "Kick"',
        'components: the core taxonomy lacks label "gong"',
        'components: the core taxonomy lacks label "Kick and something lo…',
    ],
)
def test_other_messages_and_labels_without_a_near_one_stay_as_they_are(message):
    assert with_suggestions(message) == message
