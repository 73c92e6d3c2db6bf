"""What reaches a terminal: every character of a name shown, none obeyed, in any encoding; JSON says it exactly."""

import json
import os
import subprocess
import sys
import unicodedata

import numpy as np
import pytest
import soundfile as sf
from click.testing import CliRunner

from beatsight_core.cli import text
from beatsight_core.cli.main import beatsight
from beatsight_core.progress import RichProgress

NAME = "kit\x1b]0;owned\x07\x9b31m\u202e[red]\u200b é太"
SHOWN = r"kit\x1b]0;owned\x07\x9b31m\u202e[red]\u200b é太"
MAIN = "from beatsight_core.cli.main import main; main()"


def steering(said: str) -> list[str]:
    return [each for each in said if each != "\n" and unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp")]


@pytest.fixture
def hostile(data_root):
    """A data root in which one name stands wherever a name may stand."""
    (data_root / "raw").mkdir()
    sf.write(data_root / "raw" / f"{NAME}.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 44100), 44100)
    event = {"session_id": NAME, "source_set": NAME, "audio_path": f"{NAME}.wav", "licence": NAME, "techniques": [NAME]}
    lines = [event | {"event_id": f"{n}{NAME}", "onset_time": n / 5, "components": [{"label": "kick"}]} for n in (1, 2)]
    lines += [
        lines[0] | {"event_id": "lost", "audio_path": f"no {NAME}.wav"},
        lines[0] | {"components": [{"label": NAME}]},
    ]
    (data_root / "manifests").mkdir()
    (data_root / "manifests" / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return data_root


def call(root, *arguments):
    return CliRunner().invoke(beatsight, ["--data-root", str(root), *arguments])


def texts(value) -> set[str]:
    """Every text in a result, those of keys included."""
    if isinstance(value, dict):
        return set(value).union(*map(texts, value.values()))
    if isinstance(value, list):
        return set().union(*map(texts, value))
    return {value} if isinstance(value, str) else set()


VERBS = (
    ("manifest", "check", "m.jsonl"), ("manifest", "stats", "m.jsonl"), ("verify", "m.jsonl"), ("export", "m.jsonl"),
    ("dataset", "ls"), ("dataset", "show", "m.jsonl"), ("health", "m.jsonl"), ("doctor",),
)  # fmt: skip


def test_no_verb_lets_a_name_steer_a_terminal_and_json_says_it_exactly(hostile):
    told = ""
    for verb in VERBS:
        said = call(hostile, *verb)
        assert said.exit_code in (0, 1), said.output
        assert steering(said.output) == []
        told += said.output
        exact = call(hostile, *verb, "--json")
        assert steering(exact.stdout) == []
        assert verb[0] == "doctor" or NAME in texts(json.loads(exact.stdout)), verb
    assert SHOWN in told.replace("\n", "")


@pytest.mark.parametrize(
    "arguments", [("verify", NAME), ("export", "m.jsonl", f"--{NAME}"), (NAME,), ("train", "m.jsonl", "--set", NAME)]
)
def test_what_was_typed_wrong_is_quoted_safely(hostile, arguments):
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "--data-root", str(hostile), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (2, 3)
    assert steering(done.stdout + done.stderr) == []
    assert r"\x1b]0;owned\x07" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["cp437", "latin-1", "utf-8"])
def test_a_terminal_that_lacks_a_character_gets_an_escape(hostile, encoding):
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "manifest", "stats", "m.jsonl"], capture_output=True, check=False,
        env={**os.environ, "PYTHONIOENCODING": encoding, "BEATSIGHT_DATA_ROOT": str(hostile)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode(encoding)


@pytest.mark.parametrize("name", [b"ev\xff.jsonl", b"\x1b[2J.jsonl", "\u202ex.jsonl".encode(), b"a\nb.jsonl"])
def test_a_name_in_the_inbox_that_cannot_be_shown_holds_up_nothing(hostile, name):
    odd = hostile / "manifests" / os.fsdecode(name)
    odd.write_bytes((hostile / "manifests" / "m.jsonl").read_bytes())
    (hostile / "manifests" / "m.jsonl").rename(hostile / "manifests" / "good.jsonl")
    (hostile / "manifests" / "gone.jsonl").symlink_to("nowhere.jsonl")
    (hostile / "manifests" / "folder.jsonl").mkdir()
    said = call(hostile, "doctor")
    assert said.exit_code in (0, 1)
    assert steering(said.output) == []
    assert said.output.count("left out") == 3
    assert "good.jsonl" in said.output
    assert json.loads(call(hostile, "doctor", "--json").stdout)["space"]["manifests"].keys() == {"good.jsonl"}
    for verb in (("manifest", "check"), ("manifest", "stats"), ("verify",), ("export",)):
        for more in ((), ("--json",)):
            refused = call(hostile, *verb, str(odd), *more)
            assert refused.exit_code == 3, refused.output
            assert steering(refused.stderr) == []
            assert "rename it" in refused.stderr
    assert call(hostile, "manifest", "check", "good.jsonl").exit_code == 1  # it was read, and a line of it was refused


def test_json_tells_a_path_that_is_not_utf8(data_root):
    said = call(data_root, "verify", os.fsdecode(b"no\xff.jsonl"), "--json")
    assert said.exit_code == 3
    assert "udcff.jsonl" in json.loads(said.stdout)["error"]["what"]


def test_tables_and_bars_show_markup_as_text(capsys):
    text.table([{"[bold]column": "[/red]", "n": 1}], ["[bold]column", "n"], "[link=x]a[/link]")
    shown = capsys.readouterr().out
    assert all(part in shown for part in ("[bold]column", "[/red]", "[link=x]a[/link]"))
    with RichProgress().task(f"features {NAME}", 2, "clips") as task:
        task.advance(1, loss=0.5)
        task.breakdown({NAME: {"hits": 3}})
    shown = capsys.readouterr().err
    assert r"\x1b]0;owned\x07" in shown
    assert "[red]" in shown
    assert steering(shown) == []
