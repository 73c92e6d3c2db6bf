"""The script `benchmarks.gpu` on the CPU: all of it at tiny size, stages that end badly, runs that are cut, figures."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from benchmarks import run, table
from benchmarks.gpu import timing
from benchmarks.gpu.context import LINES, LOG, Context, append_line
from benchmarks.gpu.forks import Fork
from benchmarks.gpu.lines import finding, findings, read_lines
from benchmarks.gpu.pinned import compared, pinned_torch
from benchmarks.gpu.runner import Runner
from benchmarks.gpu.stage_list import STAGES, Stage, chosen_stages
from benchmarks.gpu.stages import cuda_tests, facts, shortage
from benchmarks.gpu.summary import failures, verdicts
from benchmarks.rows import gpu

ROOT = Path(__file__).parents[1]
NEEDS_CUDA = {stage.name for stage in STAGES if stage.needs_cuda}


def script(out, *words, **more):
    command = [sys.executable, "-m", "benchmarks.gpu", str(out), *words]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """Lines of a tiny run of all stages, and what it printed."""
    out = tmp_path_factory.mktemp("gpu")
    with script(out, "--device", "cpu", "--tiny") as process:
        printed = process.communicate()[0]
    assert process.returncode == 0, printed
    return read_lines(out / LINES), printed


@pytest.mark.long
def test_every_stage_that_a_cpu_can_do_passes(whole_run):
    lines, printed = whole_run
    ends = {line["stage"]: line["name"] for line in lines if line["kind"] == "end"}
    assert ends == dict.fromkeys((stage.name for stage in STAGES if stage.name not in NEEDS_CUDA), "passed")
    assert {line["name"] for line in lines if line["kind"] == "left_out"} == {
        *NEEDS_CUDA, "float16, cnn_pair", "idle share, cnn_pair", "idle share, cnn_small",
    }  # fmt: skip
    checks = [line for line in lines if line["kind"] == "check"]
    assert {line["stage"] for line in checks} == {*ends} - {"facts", "rates", "kernels"}
    assert all(line["passed"] for line in checks)
    assert lines[-1]["kind"] == "summary"
    assert (lines[-1]["passed"], lines[-1]["failed"], lines[-1]["cut"]) == (len(checks), 0, False)
    assert len(printed.splitlines()) == len(lines)


@pytest.mark.long
def test_every_figure_names_the_torch_that_it_is_of(whole_run):
    lines, _ = whole_run
    figures = [line for line in lines if line["kind"] in ("finding", "check")]
    assert len(figures) > 60
    assert {line["torch"] for line in figures} == {torch.__version__}
    assert {line["pin"] for line in figures} == {compared(torch.__version__, pinned_torch())}


@pytest.mark.long
def test_rates_have_three_repeats_and_stand_beside_the_net_alone(whole_run):
    lines, _ = whole_run
    rates = findings(lines, "rates", name="rate")
    batches = [(line["model"], line["enlarged"], line["batch"]) for line in rates]
    assert batches == [
        ("cnn_small", True, 8), ("cnn_pair", True, 8), ("cnn_small", False, 4), ("cnn_pair", False, 4),
    ]  # fmt: skip
    for line in rates:
        assert line["clips_s"]["n"] == len(line["each"]) == len(line["net_alone_each"]) == 3
        assert 0 < line["clips_s"]["min"] <= line["clips_s"]["median"] <= line["clips_s"]["max"]
        assert line["host_ms"] > 0
    assert finding(lines, "resume", name="resumed")["arrays_that_differ"] == 0
    assert finding(lines, "tests", name="tests")["skipped"] > 0


@pytest.mark.long
def test_on_a_cpu_no_target_is_judged(whole_run):
    lines, _ = whole_run
    assert {verdict.verdict for verdict in verdicts(lines)} == {"not measured"}
    assert [figure.note for figure in gpu.figures_of(lines)] == ["not measured: it ran on the CPU"] * 2


def test_without_a_device_the_row_says_so_and_makes_no_corpus(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has a device")
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{table.BEGIN}\n{table.END}\n")
    places = ["--data", tmp_path / "data", "--results", tmp_path / "results", "--page", page]
    command = [sys.executable, "-m", "benchmarks.run", "--scale", "tiny", "--only", "gpu", *places]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert page.read_text().count("not measured: no CUDA device here") == 2
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["gpu"]
    lines = read_lines(tmp_path / "data/gpu" / LINES)
    assert [line["kind"] for line in lines][-2:] == ["no_device", "end"]
    assert "built for the CPU" in lines[-2]["why"] or "driver" in lines[-2]["why"]


def fine(context):
    """A stage that passes."""
    context.check("one", True, value=1, limit=1)


def failing(context):
    """A stage with a check that fails, and which goes on after it."""
    context.check("too much", False, value=float("nan"), limit=2)
    context.say("afterwards")


def crashing(context):
    """A stage that is killed by the system."""
    print("these are the last words", flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)


def hanging(context):
    """A stage that never ends, nor does a process that it has started."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
    context.say("child", pid=child.pid)
    child.wait()


def missing(context):
    """A stage whose package is not installed."""
    import no_such_package  # noqa: F401


def missing_in_a_fork(context):
    """A stage whose package is not installed, which only a process of its own finds."""
    with Fork(fork_that_imports) as fork:
        fork.receive(60.0)


def fork_that_imports(tell):
    import another_package  # noqa: F401


def raising(context):
    """A stage with a mistake."""
    raise LookupError("it is not here")


@pytest.fixture
def context(tmp_path):
    """Makes the context of a script that has so many seconds."""

    def make(seconds=100.0, device="cpu"):
        now = time.monotonic()
        return Context("all", device, False, tmp_path, now, now + seconds, {"torch": "1.0", "pin": "older"})

    return make


def stage(function, **more):
    return Stage(function.__name__, f"tests.test_gpu_script:{function.__name__}", more.pop("cap_s", 60), **more)


@pytest.mark.long
def test_a_stage_that_ends_badly_is_reported_and_the_others_go_on(context, tmp_path):
    stages = [stage(crashing), stage(hanging, cap_s=20.0), stage(failing), stage(missing), stage(missing_in_a_fork)]
    runner = Runner([*stages, stage(raising), stage(fine)], context(), jobs=2)
    runner.run()
    lines = read_lines(tmp_path / LINES)
    assert runner.ends == {
        "crashing": "crashed: SIGSEGV", "hanging": "ran out of its 20 s", "failing": "failed", "missing": "left out",
        "missing_in_a_fork": "left out",
        "raising": "failed", "fine": "passed",
    }  # fmt: skip
    ended = {line["stage"]: line for line in lines if line["kind"] == "end"}
    assert "these are the last words" in ended["crashing"]["log"]
    child = finding(lines, "hanging", name="child")["pid"]
    assert not Path(f"/proc/{child}").exists() or "\nState:\tZ" in Path(f"/proc/{child}/status").read_text()
    assert finding(lines, "failing", name="afterwards")
    assert [line["why"] for line in lines if line["kind"] == "left_out"] == [
        "the package no_such_package is not installed here",
        "the package another_package is not installed here",
    ]
    assert sorted(failures(lines)) == [
        "crashing: crashed: SIGSEGV", "failing: too much: nan, limit 2", "hanging: ran out of its 20 s",
        "raising: LookupError: it is not here",
    ]  # fmt: skip
    assert "== hanging" in (tmp_path / LOG).read_text()


def test_what_does_not_fit_into_the_time_left_is_left_out(context, tmp_path):
    runner = Runner([stage(fine, least_s=50.0), stage(failing, least_s=0.0)], context(seconds=40.0), jobs=1)
    runner.run()
    lines = read_lines(tmp_path / LINES)
    assert lines[0]["why"] == "40 s are left, and it needs 50"
    assert runner.ends == {"failing": "failed"}


@pytest.mark.long
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_that_is_cut_leaves_whole_lines_and_no_process(tmp_path, how):
    with script(tmp_path, "--device", "cpu", "--tiny", "--only", "smoke,rates") as process:
        for text in process.stdout:
            if "facts      end" in text:
                break
        process.send_signal(how)
        process.stdout.read()  # to its end, which it has when the last process that could write to it has ended
    lines = [json.loads(text) for text in (tmp_path / LINES).read_text().splitlines()]
    assert finding(lines, "facts", name="torch")["version"] == torch.__version__
    # No stage went on to its end.
    assert len(findings(lines, "rates", name="rate")) < 4
    assert sum(line["kind"] == "check" and line["stage"] == "smoke" for line in lines) < 16
    if how == signal.SIGTERM:
        assert process.returncode == 1
        assert (lines[-1]["kind"], lines[-1]["cut"]) == ("summary", True)
        assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_a_line_that_is_half_there_is_passed_over(tmp_path):
    append_line(tmp_path / LINES, {"kind": "finding"})
    with (tmp_path / LINES).open("a") as file:
        file.write('{"kind": "fin')
    assert read_lines(tmp_path / LINES) == [{"kind": "finding"}]


def test_stages_are_chosen_by_name_and_the_facts_are_always_among_them():
    assert [stage.name for stage in chosen_stages(["rates", "smoke"])] == ["facts", "smoke", "rates"]
    assert chosen_stages([]) == list(STAGES)
    with pytest.raises(ValueError, match="no stage rate; there are facts, smoke"):
        chosen_stages(["rate"])


@pytest.mark.parametrize(
    ("installed", "said"),
    [
        ("2.13.0+cpu", "the pinned 2.13.0"),
        ("2.11.0+cu130", "older than the pinned 2.13.0"),
        ("2.14.0a0+git", "newer than the pinned 2.13.0"),
        ("2.13.1", "newer than the pinned 2.13.0"),
    ],
)
def test_another_torch_than_the_pinned_one_is_named(installed, said):
    assert compared(installed, "2.13.0") == said


def test_time_that_kernels_cover_together_counts_once():
    assert timing.covered([(5.0, 9.0), (0.0, 2.0), (1.0, 3.0), (1.5, 2.5)]) == 7.0
    assert timing.covered([]) == 0.0


def event(name, start, end, kind="CUDA", drawn=False):
    return SimpleNamespace(
        name=name, time_range=SimpleNamespace(start=start, end=end), device_type=SimpleNamespace(name=kind),
        is_user_annotation=drawn,
    )  # fmt: skip


def test_ranges_that_a_profiler_draws_are_no_work_of_the_device():
    events = [
        event("gemm", 0.0, 10.0), event("gemm", 20.0, 30.0), event("Memcpy HtoD", 25.0, 35.0),
        event("Optimizer.step#AdamW.step", 0.0, 100.0, drawn=True), event("Optimizer.zero_grad#AdamW", 0.0, 50.0),
        event("cudaLaunchKernel", 0.0, 90.0, kind="CPU"),
    ]  # fmt: skip
    work = [each for each in events if timing._is_work(each)]
    assert [each.name for each in work] == ["gemm", "gemm", "Memcpy HtoD"]
    assert timing._longest(work, 2, 5) == [("gemm", 1.0, 0.01), ("Memcpy HtoD", 0.5, 0.005)]
    profile = timing.Profile(
        2, 50e-6, timing.covered((e.time_range.start, e.time_range.end) for e in work) / 1e6, 1.5, []
    )
    assert profile.idle_share == pytest.approx(0.5)
    assert profile.idle_share_at(20e-3) == pytest.approx(1 - 12.5 / 20)


def test_a_profile_of_a_device_counts_its_kernels_only(context, monkeypatch):
    class Seen(contextlib.nullcontext):
        def __init__(self, activities):
            super().__init__(self)
            assert [activity.name for activity in activities] == ["CUDA"]

        def events(self):
            return [event("gemm", 0.0, 1e6), event("gemm", 0.5e6, 2e6), event("cudaLaunchKernel", 0.0, 9e6, kind="CPU")]

    class Trainer:
        steps_per_epoch = 2

        def train_epoch(self, after_step):
            return SimpleNamespace(seconds=2.5)

        def end_epoch(self, loss):
            pass

    monkeypatch.setattr(torch.profiler, "profile", Seen)
    monkeypatch.setattr(torch.profiler, "supported_activities", lambda: {torch.profiler.ProfilerActivity.CUDA})
    profile = timing.profiled_epoch(context(device="cuda"), Trainer())
    assert (profile.wall_s, profile.busy_s, profile.launches) == (2.5, 2.0, 1.0)
    assert profile.top == [("gemm", 1.0, 1250.0)]
    assert profile.idle_share == pytest.approx(0.2)
    monkeypatch.setattr(torch.profiler, "supported_activities", set)
    assert timing.profiled_epoch(context(device="cuda"), Trainer()).idle_share is None


class FakeCuda:
    """The memory of a device as torch tells it."""

    def __init__(self, patch):
        self.allocated, self.reserved, self.fraction = 1 << 30, 2 << 30, None
        names = ("synchronize", "empty_cache", "reset_peak_memory_stats")
        for name in names:
            patch.setattr(torch.cuda, name, lambda *_: None)
        for name, value in (("memory_allocated", "allocated"), ("memory_reserved", "reserved")):
            patch.setattr(torch.cuda, name, lambda *_, of=value: getattr(self, of))
            patch.setattr(torch.cuda, f"max_{name}", lambda *_, of=value: getattr(self, of))
        patch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda share, _: setattr(self, "fraction", share))
        patch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=100 << 30))


CUDA = SimpleNamespace(type="cuda")


def test_memory_is_what_a_block_takes_beside_what_was_there(monkeypatch):
    cuda = FakeCuda(monkeypatch)
    with timing.Peak(CUDA) as peak:
        cuda.allocated, cuda.reserved = 4 << 30, 5 << 30
    assert (peak.gib, peak.reserved_gib) == (3.0, 5.0)
    with timing.Peak(SimpleNamespace(type="cpu")) as none:
        pass
    assert none.gib is None


def test_memory_is_refused_for_the_length_of_a_block(monkeypatch):
    cuda = FakeCuda(monkeypatch)
    with shortage._Need(CUDA) as need:
        cuda.reserved = 12 << 30
    cuda.reserved = 2 << 30
    with need.refused(0.6):
        assert cuda.fraction == pytest.approx(0.08)
    assert (need.gib, need.allowed_gib, cuda.fraction) == (10.0, 6.0, 1.0)


def test_the_devices_of_the_driver_are_compared_with_those_of_torch(context, tmp_path, monkeypatch):
    seen = SimpleNamespace(name="NVIDIA Made Up", major=7, minor=5, multi_processor_count=10, uuid="GPU-1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: seen)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (1 << 30, 2 << 30))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    monkeypatch.setattr(facts, "_precision", lambda _: None)
    facts._devices(context(device="cuda"))
    lines = read_lines(tmp_path / LINES)
    assert finding(lines, "all", name="device")["capability"] == "7.5"
    assert failures(lines) == ["all: the driver lists the devices that torch sees: [], limit ['1']"]


def test_the_tests_for_a_device_are_found():
    files = [path.name for path in sorted((ROOT / "tests").rglob("test_*.py")) if cuda_tests._needs_cuda(path)]
    assert {"test_fit.py", "test_logmel.py", "test_watch.py"} <= set(files)
    assert Path(__file__).name not in files


VERSIONS = {"torch": "2.11.0+cu130", "pin": "older than the pinned 2.13.0"}


def found(at_stage, name, **values):
    return {"at": 1.0, "stage": at_stage, "kind": "finding", "name": name, **VERSIONS, **values}


def rate(model, each, *, enlarged=True, batch=768, estimate=None):
    return found(
        "rates", "rate", model=model, enlarged=enlarged, batch=batch, each=each, clips_s=timing.spread(each),
        net_alone_each=[2 * value for value in each], ms_a_step=8.0, host_ms=3.0, waits_s=0.01, peak_gib=1.5,
        estimate=estimate,
    )  # fmt: skip


def sample(device="NVIDIA H200"):
    """A SAMPLE of lines, as a run on a GPU writes them. All numbers are made up: nothing here was measured."""
    machine = {"cpu": "a processor", "cores": 16, "memory_gib": 128.0, "system": "Linux", "load": 0.1}
    return [
        {"at": 0.0, "stage": "all", "kind": "begin", "name": "begin"},
        found("facts", "torch", version="2.11.0+cu130", stands="older than the pinned 2.13.0", cuda="13.0"),
        {"at": 0.5, "stage": "facts", "kind": "about", "machine": machine, "versions": {"python": "3.12.3"},
         "time": "2000-01-01T00:00:00+00:00"},
        found("facts", "driver", driver="580.00", cuda="13.0"),
        found("facts", "device", device=device),
        found("facts", "libraries", cudnn=91000),
        rate("cnn_small", [160_000, 151_000, 149_000], estimate=[180_000, 225_000]),
        rate("cnn_pair", [40_000, 41_000, 49_000]),
        rate("cnn_small", [14_000, 14_100, 14_200], enlarged=False, batch=48),
        found("kernels", "idle", model="cnn_small", steps=50, idle_share=0.04, idle_share_unprofiled=0.02),
        found("kernels", "idle", model="cnn_pair", steps=50, idle_share=0.06, idle_share_unprofiled=0.03),
        found("epoch", "epoch", model="cnn_pair", clips=3_010_560, training_s=30.0, judging_s=3.0, judged=301_077,
              idle_share=0.03, waits=2),
        found("judging", "memory", model="cnn_pair", judging_gib=0.8, training_gib=1.6),
        found("compiled", "way", model="cnn_pair", each=[120_000], compile_s=61.0),
        {"at": 9.0, "stage": "smoke", "kind": "check", "name": "fine", "passed": True, "value": 1, "limit": 2},
        {"at": 9.0, "stage": "smoke", "kind": "check", "name": "wrong | here", "passed": False, "value": 3, "limit": 2},
        {"at": 9.0, "stage": "smoke", "kind": "end", "name": "failed", "seconds": 3.0},
        {"at": 9.1, "stage": "feeds", "kind": "end", "name": "crashed: SIGSEGV", "seconds": 3.0},
        {"at": 9.2, "stage": "graphs", "kind": "left_out", "name": "graphs", "why": "5 s are left"},
    ]  # fmt: skip


def by_name(figures):
    return {figure.what: figure for figure in figures}


def test_figures_are_made_of_the_lines_of_a_run():
    figures = by_name(gpu.figures_of(sample()))
    small, pair = (figures[f"training {model} on one GPU, batches of 768"] for model in ("cnn_small", "cnn_pair"))
    assert (small.met, pair.met) == (True, False)
    assert small.target_is == ">= 150,000 clips/s on one H200"
    assert small.ratios == (0.5, 0.5, 0.5)
    assert small.note.startswith(
        "NVIDIA H200, torch 2.11.0+cu130 (older than the pinned 2.13.0), CUDA 13.0, cuDNN 91000, driver 580.00; "
        "expected: 180,000 to 225,000; 8 ms a step, of which the host takes 3"
    )
    assert figures["training cnn_small on one GPU, batches of 48"].met is None
    idle = [figures[f"idle share of the GPU, {model}"] for model in ("cnn_small", "cnn_pair")]
    assert [figure.met for figure in idle] == [True, False]
    assert figures["epoch of 3,010,560 clips with judging on one GPU, cnn_pair"].measured == (33.0,)
    assert figures["memory of judging on one GPU, cnn_pair"].met
    failed = figures["checks that failed on one GPU"]
    assert failed.measured == (2.0,)
    assert failed.note == (
        "1 passed; smoke: wrong / here: 3, limit 2; feeds: crashed: SIGSEGV; left out: graphs: graphs"
    )
    judged = {verdict.target.split(":")[0] + verdict.target[-4:]: verdict.verdict for verdict in verdicts(sample())}
    assert judged["cnn_smallH200"] == "met"
    assert judged["cnn_pairH200"] == "missed"


def test_a_target_of_one_device_is_not_asked_of_another():
    figures = by_name(gpu.figures_of(sample("NVIDIA GeForce RTX 3080 Ti")))
    small = figures["training cnn_small on one GPU, batches of 768"]
    assert (small.met, small.target_is) == (None, "")
    assert figures["idle share of the GPU, cnn_pair"].met is False
    assert verdicts(sample("NVIDIA GeForce RTX 3080 Ti"))[0].verdict == "not judged: the target is of an H200"
    assert verdicts(sample("NVIDIA GeForce RTX 3080 Ti"))[0].estimate == (48_000, 54_000)


def test_a_stage_that_did_not_end_leaves_its_rows_unmeasured():
    lines = [line for line in sample() if line["stage"] != "rates"]
    lines.append({"at": 2.0, "stage": "rates", "kind": "end", "name": "ran out of its 90 s"})
    facts_failed = [{"at": 0.0, "stage": "all", "kind": "begin", "device": "cuda"}]
    facts_failed.append({"at": 2.0, "stage": "facts", "kind": "end", "name": "crashed: SIGSEGV"})
    assert gpu.figures_of(facts_failed)[0].note == "not measured: the stage facts crashed: SIGSEGV"
    small = by_name(gpu.figures_of(lines))["training cnn_small on one GPU"]
    assert small.note == "not measured: the stage rates ran out of its 90 s"
    assert small.to_json()["measured"] == {"n": 0}


def test_lines_of_another_machine_are_kept_under_its_name(tmp_path, capsys):
    path = tmp_path / "brought.jsonl"
    for line in sample():
        append_line(path, line)
    page = tmp_path / "performance.md"
    page.write_text(f"{table.BEGIN}\n{table.END}\n")
    places = ["--data", tmp_path / "data", "--results", tmp_path / "results", "--page", page]
    words = [*map(str, places), "--only", "gpu", "--gpu-lines", str(path)]
    assert run.main(words) == 0
    text = page.read_text()
    assert "a processor, 16 cores, 128.0 GiB, Linux; python 3.12.3. Measured 2000-01-01" in text
    assert "| 149,000 / 151,000 / 160,000 clips/s, n = 3 |" in text
    assert not (tmp_path / "data").exists()
    path.write_text("{}\n")
    path.write_text('{"kind": "other", "stage": "x"}\n')
    assert run.main(words) == 1
    assert "holds no lines of benchmarks.gpu" in capsys.readouterr().err


def test_every_stage_can_be_imported_and_says_what_it_does():
    for each in STAGES:
        module, _, name = each.work.partition(":")
        assert getattr(sys.modules.get(module) or __import__(module, fromlist=[name]), name).__doc__
        assert dataclasses.replace(each, cap_s=1.0).name == each.name
    assert sum(stage.cap_s for stage in STAGES[:6]) < 480
