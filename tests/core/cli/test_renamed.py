"""Old names of verbs and options work for one release, are in no help, and say what they are called now."""

import pytest
from click.testing import CliRunner

from beatsight_core.cli.main import beatsight

VERBS = {
    ("train",): ("--despite-health", "--despite-probe", "--despite-version"),
    ("manifest", "forget"): ("--despite-use",),
}
OPTIONS = [(verb, old) for verb, names in VERBS.items() for old in names]


@pytest.mark.parametrize(("verb", "old"), OPTIONS)
def test_an_old_option_means_the_new_one(verb, old, data_root):
    new = old.replace("--despite", "--override")
    asked = [*verb, "nowhere.jsonl", "--data-root", str(data_root)]
    by_old, by_new = (CliRunner().invoke(beatsight, [*asked, name, "a reason"]) for name in (old, new))
    notice = f"{old} is now called {new}. The old name goes with the next release.\n"
    assert by_old.stderr == notice + by_new.stderr
    assert by_old.exit_code == by_new.exit_code == 3
    help = CliRunner().invoke(beatsight, [*verb, "--help"]).stdout
    assert new in help
    assert old not in help


def test_an_old_verb_means_the_new_one(data_root):
    asked = ["nowhere.jsonl", "--data-root", str(data_root)]
    by_old, by_new = (CliRunner().invoke(beatsight, ["health", verb, *asked]) for verb in ("bless", "approve"))
    assert (
        by_old.stderr
        == "health bless is now called health approve. The old name goes with the next release.\n" + by_new.stderr
    )
    assert by_old.exit_code == by_new.exit_code
    help = CliRunner().invoke(beatsight, ["health", "--help"]).stdout
    assert "approve" in help
    assert "bless" not in help
