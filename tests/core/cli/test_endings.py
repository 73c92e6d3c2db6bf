"""However a verb ends: a documented exit code and one paragraph; and pipes whose reader leaves are no fault."""

import json
import os
import pickle
import socket
import subprocess
import sys

import numpy as np
import polars
import pytest
import torch
from click.testing import CliRunner

from beatsight_core.cli.main import beatsight
from beatsight_core.compute.explained import explained
from beatsight_core.errors import ModelError, UnexpectedError
from beatsight_core.training import checkpoint

MAIN = "from beatsight_core.cli.main import main; main()"


def call(*words):
    return CliRunner().invoke(beatsight, [str(word) for word in words])


def raised_by(statement):
    modules = (np, torch, json, os, socket, pickle, polars)
    try:
        exec(statement, {"np": np, **{module.__name__: module for module in modules}})
    except BaseException as error:  # noqa: BLE001 - any is wanted
        return error
    raise AssertionError(statement)


ERRORS = {
    "int('²')": 70,
    "{}['at']": 70,
    "[][0]": 70,
    "None.x": 70,
    "1 / 0": 70,
    "'é'.encode('ascii')": 70,
    "b'\\xff'.decode()": 70,
    "np.zeros(3) @ np.zeros(4)": 70,
    "torch.zeros(2, 3) @ torch.zeros(2, 3)": 70,
    "torch.manual_seed(2 ** 70)": 70,
    "raise RecursionError('maximum recursion depth exceeded')": 70,
    "raise NotImplementedError": 70,
    "raise StopIteration": 70,
    "raise OSError('no number')": 70,
    "raise KeyError": 70,
    "raise RuntimeError('line one\\nline two\\n\\nline four')": 70,
    "raise MemoryError": 1,
    "np.zeros(2**46)": 1,
    "raise RuntimeError('DefaultCPUAllocator: can\\'t allocate memory: you tried to allocate 1 bytes')": 1,
    "socket.create_connection(('127.0.0.1', 9), timeout=1)": 1,
    "raise TimeoutError('the operation timed out')": 1,
    "import no_such_package": 2,
    "raise polars.exceptions.PanicException('Worker threads cannot be set to 0')": 70,
    "raise polars.exceptions.ComputeError('underlying IO error: No space left on device (os error 28)')": 4,
    "import beatsight_core.no_such_module": 70,
    "open('/no/such/file')": 4,
    "os.mkdir('/proc/x')": 4,
    "raise torch.AcceleratorError('CUDA error: unspecified launch failure')": 2,
}


@pytest.mark.parametrize("statement", list(ERRORS))
@pytest.mark.parametrize("how", ["text", "json", "debug"])
def test_any_exception_ends_a_verb_in_a_paragraph(data_root, monkeypatch, statement, how):
    error = raised_by(statement)

    def failing(*_, **__):
        raise error

    monkeypatch.setattr("beatsight_core.promotion.version.model_list.list_models", failing)
    words = {"text": [], "json": ["--json"], "debug": ["--debug"]}[how]
    done = call("models", "--data-root", data_root, *words)
    assert done.exit_code == ERRORS[statement]
    assert isinstance(done.exception, SystemExit)
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert "What to do: " in said
    assert ("Traceback" in done.stderr) == (how == "debug")
    if how == "debug":
        return
    assert done.stderr.splitlines() == [said]
    if how == "json":
        assert json.loads(done.stdout)["exit_code"] == ERRORS[statement]
    if ERRORS[statement] == 70:
        assert said.startswith(f"Error: The platform has a fault: {type(error).__name__}")
        assert "--debug" in said


def test_a_fault_names_the_line_that_it_came_from():
    told = explained(raised_by("int('²')"), "x")
    assert isinstance(told, UnexpectedError)
    assert told.where is None  # no line of ours
    with pytest.raises(TypeError) as caught:
        checkpoint.differences(3, {})
    told = explained(caught.value, "x")
    assert "beatsight_core/training/checkpoint.py, line " in str(told)
    again = pickle.loads(pickle.dumps(told))
    assert (type(again), str(again)) == (UnexpectedError, str(told))


def test_an_error_outside_of_any_verb_is_a_paragraph_too(tmp_path):
    code = f"import beatsight_core.cli.main as m; m._VERBS['models'] = 'beatsight_core.nowhere:x'; {MAIN}"
    done = subprocess.run([sys.executable, "-c", code, "models"], capture_output=True, text=True, check=False)
    assert done.returncode == 70
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("words", [["models"], ["--data-root", "relative", "models"], ["demo", "x", "--corpus-only"]])
def test_a_current_folder_that_is_gone_is_not_blamed_on_the_data(data_root, tmp_path, words):
    (tmp_path / "gone").mkdir()
    line = f'cd "{tmp_path}/gone" && rmdir "{tmp_path}/gone" && exec "{sys.executable}" -c "{MAIN}" {" ".join(words)}'
    environment = {**os.environ, "BEATSIGHT_DATA_ROOT": str(data_root)}
    done = subprocess.run(["bash", "-c", line], env=environment, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr.splitlines()[-1][:36]) == (2, "Error: The current folder is gone. W")


@pytest.mark.parametrize(
    ("words", "code", "stream"),
    [
        (["models"], 0, "both"),
        (["models", "--json"], 0, "stdout"),
        (["--help"], 0, "stdout"),
        (["verify", "nothing"], 3, "stderr"),
    ],
)
def test_a_reader_that_leaves_is_no_fault(data_root, words, code, stream):
    """As in `beatsight models | head -1`: the verb's own exit code, and not a word."""
    reading, writing = os.pipe()
    os.close(reading)
    pipes = {"stdout": (writing, subprocess.PIPE), "stderr": (subprocess.PIPE, writing), "both": (writing, writing)}
    out, errors = pipes[stream]
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "--data-root", str(data_root), *words], stdout=out, stderr=errors, check=False
    )
    os.close(writing)
    assert done.returncode == code
    assert not done.stderr


def test_a_reader_that_leaves_in_the_middle_of_much_output_is_none_either(trained):
    settings, _ = trained
    command = [sys.executable, "-c", MAIN, "manifest", "stats", "tiny.jsonl", "--json", "--data-root"]
    with subprocess.Popen(
        [*command, str(settings.data_root)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout.read(1) == b"{"
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait() == 0
    assert b"Error" not in errors
    assert b"Traceback" not in errors


@pytest.mark.parametrize("words", [["--help"], ["models", "--json"]])
def test_output_that_cannot_be_written_is_said_and_not_blamed_on_the_data(data_root, words):
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [sys.executable, "-c", MAIN, "--data-root", str(data_root), *words],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 4
    assert done.stderr.startswith("Error: The result cannot be printed. Where: standard output.")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(("closed", "verb", "code"), [(">&-", "models", 0), ("<&- >&- 2>&-", "verify nothing", 3)])
def test_closed_streams_are_no_fault(data_root, closed, verb, code):
    line = f'"{sys.executable}" -c "{MAIN}" --data-root "{data_root}" {verb} {closed}'
    assert subprocess.run(["bash", "-c", line], check=False, capture_output=True).returncode == code


@pytest.mark.parametrize("version", ["²", "٣", "x", "-1", "1.0", "9" * 5000, "v", "0x1"])
def test_what_is_no_version_is_said(trained_once, version):
    root, _ = trained_once
    done = call("rollback", "--data-root", root, "--", version)
    assert (done.exit_code, "is not a version" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("seed=99999999999999999999", "seed must be at most"),
        (f"seed={'9' * 5000}", "seed must be"),
        ("epochs=3000000000", "epochs must be at most"),
        ("batch=1e3", "batch must be a whole number"),
        ("lr=1e400", "finite number"),
        ("processes=-1", "processes must not be negative"),
        ("model=cnn_par", "did you mean cnn_pair?"),
    ],
)
def test_values_of_a_preset_that_nothing_can_use_are_refused_at_once(trained_once, word, said):
    root, _ = trained_once
    done = call("train", "tiny.jsonl", "--set", word, "--data-root", root)
    assert (done.exit_code, said in done.stderr) == (2, True), done.stderr
    assert len(done.stderr) < 600


@pytest.mark.parametrize(
    "words",
    [
        ["train", "m", "--max-seconds", "nan"],
        ["train", "m", "--max-seconds", "1e999"],
        ["evaluate", "latest", "--fraction", "NaN"],
    ],
)
def test_what_is_no_finite_number_is_refused(data_root, words):
    done = call(*words, "--data-root", data_root)
    assert (done.exit_code, "is not a finite number" in done.stderr) == (2, True), done.stderr


def test_a_misspelt_value_of_any_preset_is_told_by_the_first_verb(data_root):
    (data_root / "beatsight.toml").write_text("[training.long_run]\nepoch = 3\n[training.baseline]\nlr = 'high'\n")
    for words in (["models"], ["verify", "x.jsonl"], ["doctor"]):
        done = call(*words, "--data-root", data_root)
        assert done.exit_code == 2
        assert "did you mean training.long_run.epochs?" in done.stderr
        assert "training.baseline.lr must be a number" in done.stderr


@pytest.mark.parametrize("kind", ["text", "empty", "a zip of something else", "a pickle", "a tensor", "no model in it"])
def test_a_checkpoint_that_is_no_file_of_torch_is_named(tmp_path, kind):
    path = tmp_path / checkpoint.BEST
    if kind == "a zip of something else":
        np.savez(path.with_suffix(".npz"), x=1)
        path.with_suffix(".npz").rename(path)
    elif kind == "a pickle":
        path.write_bytes(pickle.dumps({"format": checkpoint.FORMAT, "model": print}))
    elif kind == "a tensor":
        torch.save(torch.zeros(3), path)
    elif kind == "no model in it":
        torch.save({"format": checkpoint.FORMAT, "step": 3}, path)
    else:
        path.write_bytes(b"" if kind == "empty" else b"not a checkpoint")
    digest = checkpoint.sha256_file(path)
    path.with_name(path.name + ".sha256").write_text(f"{digest}  {path.name}\n")  # its digest agrees
    with pytest.raises(ModelError) as caught:
        checkpoint.load(path)
    assert str(path) in str(caught.value)
