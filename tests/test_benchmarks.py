"""Every row of the benchmarks runs, on a corpus of some clips; and what measures them measures."""

import importlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from beatsight_core.cli.main import beatsight
from benchmarks import run, table
from benchmarks.bench import TINY, Bench
from benchmarks.corpus import make_corpus, make_manifest
from benchmarks.figures import Figure, Target
from benchmarks.measure import Took, take
from benchmarks.recordings import Size
from benchmarks.rows import ROWS, ear

ROOT = Path(__file__).parents[1]


class InOneProcess(Bench):
    """Calls and verbs here instead of in processes of their own: torch is then imported once, not thirty times."""

    def verb(self, root, *words, cache=None, allowed=(0,), imports=""):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("WANDB_MODE", "disabled")
            if cache:
                patch.setenv("BEATSIGHT_CACHE_DIR", str(cache))
            began = time.perf_counter()
            done = CliRunner().invoke(beatsight, [*map(str, words), "--data-root", str(root), "--json"])
        assert done.exit_code in allowed, done.output
        return _took(time.perf_counter() - began, json.loads(done.stdout))

    def call(self, module, name, *words, env=None):
        began = time.perf_counter()
        said = getattr(importlib.import_module(f"benchmarks.{module}"), name)(*map(str, words))
        return _took(time.perf_counter() - began, json.loads(json.dumps(said)))


def _took(seconds, said):
    return Took(seconds, seconds, 100.0, 100.0, said)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return InOneProcess(tmp_path_factory.mktemp("bench"), TINY, lambda line: None)


LONG = {"overhead", "release", "train"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.long) if name in LONG else name for name in ROWS if name != "gpu"],
)  # for gpu see test_gpu_script.py
def test_every_row_can_be_measured(bench, name):
    figures = [figure.to_json() for figure in ROWS[name](bench)]
    assert figures
    for figure in figures:
        elsewhere = "not measured" in figure["note"]
        assert figure["measured"]["n"] or elsewhere, figure["what"]
        assert bool(figure["target"]) == (figure["met"] is not None) or elsewhere
        assert not elsewhere or not ear.REAL.is_dir()


def test_the_suite_keeps_a_row_at_a_time_and_writes_the_page(bench, tmp_path):
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    places = ["--data", bench.data, "--results", tmp_path / "results", "--page", page]
    command = [sys.executable, "-m", "benchmarks.run", "--scale", "tiny", "--only", "health", *places]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "results").glob("*.json")
    row = json.loads(path.read_text())["health"]
    assert row["machine"]["cores"]
    assert row["versions"]["python"]
    assert row["figures"][0]["measured"]["n"] == 1
    assert row["figures"][0]["beside"]["largest_process_mib"] > 20
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old\n" not in text
    assert re.search(r"\| health of 4,350 events \|.*\| <= 2 s \| (yes|no) \|", text)

    run._keep(path, "loader", {"figures": []})
    assert set(json.loads(path.read_text())) == {"health", "loader"}


def test_the_same_arguments_give_the_same_corpus_and_a_damaged_one_is_made_again(tmp_path):
    size = Size(3, 5)
    folder = make_corpus(tmp_path, size, print)
    files = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    assert len(files) == 5
    damaged = next((folder / "raw").rglob("*.wav"))
    damaged.write_bytes(files[damaged][:-10])
    make_corpus(tmp_path, size, print)
    assert {path: path.read_bytes() for path in files} == files

    events = [json.loads(line) for line in make_manifest(folder, size, 1000, print).read_text().splitlines()]
    assert len({event["event_id"] for event in events}) == 1000
    assert {(folder / "raw" / event["source_set"] / event["audio_path"]).is_file() for event in events} == {True}


MEASURED = """
import json, sys
from dataclasses import asdict
from benchmarks.measure import take
child = "x = bytearray(200 << 20); sum(range(5 * 10**6))"
parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}]); print('{{}}')"
print(json.dumps(asdict(take([sys.executable, "-c", parent]))))
"""


def test_a_process_is_measured_with_its_children():
    # In a process of its own, for what is started begins with the size of what starts it.
    done = subprocess.run([sys.executable, "-c", MEASURED], cwd=ROOT, capture_output=True, check=True)
    took = json.loads(done.stdout)
    assert 200 < took["largest_mib"] < 300
    assert took["together_mib"] >= took["largest_mib"]
    assert 0.05 < took["cpu_seconds"] < took["seconds"] * os.cpu_count()


def test_a_process_that_fails_says_why():
    with pytest.raises(RuntimeError, match=r"exit code 3.*\n.*gone wrong"):
        take([sys.executable, "-c", "import sys; print('gone wrong', file=sys.stderr); sys.exit(3)"])


def test_a_target_is_judged_by_the_median():
    ratio = Figure("a", "s", (3.0, 1.0, 9.0), (2.0, 2.0, 2.0), "floor", target=Target(1.5), target_is="<= 1.5 x")
    assert ratio.met
    assert ratio.to_json()["ratio"] == {"n": 3, "min": 0.5, "median": 1.5, "max": 4.5}
    value = Figure("b", "clips/s", (3.0, 1.0, 9.0), target=Target(4.0, "value", at_least=True), target_is=">= 4")
    assert value.met is False
    assert Figure("c", "s", (), target=Target(1.0)).met is None
