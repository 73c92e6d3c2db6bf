"""The graph as a verb starts it, in a process of its own: it ends with the verb."""

import os
import signal
import subprocess
import sys

import dagster as dg
import psutil
import pytest

from beatsight_core.settings import Settings

VERB = """
import sys
from pathlib import Path
from beatsight_core.cli.verbs.platform import run_dagster_module
from beatsight_core.settings import load_settings
try:
    run_dagster_module(load_settings(Path(sys.argv[1])), "beatsight_dagster.materialize", "demo.jsonl")
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGKILL, marks=pytest.mark.long)])
def test_a_signal_ends_the_verb_and_all_that_it_started(number: signal.Signals, corpus: Settings) -> None:
    command = [sys.executable, "-c", VERB, str(corpus.data_root)]
    environment = {**os.environ, "BEATSIGHT_DEVICES": "", "WANDB_MODE": "disabled"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any("manifest" in line for line in iter(process.stderr.readline, ""))  # the graph is under way
        started = psutil.Process(process.pid).children(recursive=True)
        assert started
        process.send_signal(number)
        if number == signal.SIGTERM:
            rest = process.stderr.read()
            assert process.wait() == 130, rest
    _, alive = psutil.wait_procs(started, timeout=60)
    assert not alive
    with dg.DagsterInstance.from_config(str(corpus.dagster_home)) as instance:
        assert not [run for run in instance.get_runs() if run.is_success], "it went on to the end"
