"""Builders that are killed with -9, and several at once, in real processes: the cache ends as one builder makes it."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

from beatsight_core.errors import DatasetError
from beatsight_core.features.build import build_features
from beatsight_core.features.cache import open_features

CHILD = """
import json, os, pathlib, signal, sys
root, fatal, when, threads = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
steps = 0
def deadly(self, target, original=pathlib.Path.replace):
    global steps
    steps += 1
    if steps == fatal and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    moved = original(self, target)
    if steps == fatal:
        os.kill(os.getpid(), signal.SIGKILL)
    return moved
pathlib.Path.replace = deadly
from beatsight_core.features.build import build_features
from beatsight_core.settings import load_settings
import torch
torch.set_num_threads(threads)
print("ready", flush=True)
sys.stdin.read()
print(json.dumps(build_features(load_settings(root, {}), "made", device="cpu").to_json()))
"""
NEVER = 0


@pytest.fixture
def begin():
    """Start a builder; it has loaded everything, and waits until its input ends."""
    started = []

    def start(root, fatal=NEVER, when="before", threads=1):
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", CHILD, str(root), str(fatal), when, str(threads)],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
        )  # fmt: skip
        return started[-1]

    yield start
    for process in started:
        with process:  # closes its pipes and waits
            process.kill()


@pytest.fixture
def whole(exported):
    """Settings, key, and what the cache holds when nothing goes wrong; the cache is cold again."""
    settings, key = exported
    build_features(settings, key, device="cpu")
    content = contents(settings)
    shutil.rmtree(settings.cache_dir)
    return settings, key, content


def contents(settings):
    """Everything in the cache that a reader could meet, temporary files included."""
    paths = [path for path in settings.cache_dir.rglob("*") if path.is_file() and path.parent.name != ".locks"]
    return {str(path.relative_to(settings.cache_dir)): path.read_bytes() for path in paths}


def start_together(builders):
    for builder in builders:
        assert builder.stdout.readline() == "ready\n", builder.stderr.read()
    for builder in builders:
        builder.stdin.close()


@pytest.mark.long
@pytest.mark.parametrize(("fatal", "when"), [(1, "before"), (1, "after"), (2, "before"), (3, "after"), (4, "before")])
def test_killed_at_any_commit_step_and_run_again_is_as_if_never_killed(whole, begin, fatal, when):
    settings, key, expected = whole
    files = [name for name in expected if name.endswith(".safetensors")]
    assert len(files) == 3  # so that steps are: the spec, then one for each file
    process = begin(settings.data_root, fatal, when)
    assert process.communicate()[0].startswith("ready")
    assert process.returncode == -signal.SIGKILL

    left = contents(settings)
    committed = [name for name in files if name in left]
    assert len(committed) == max(0, fatal - 1 - (when == "before"))
    assert all(left[name] == expected[name] for name in left if ".tmp-" not in name)
    with pytest.raises(DatasetError, match=r"cover .*%"):
        open_features(settings, key)

    assert build_features(settings, key, device="cpu").shards_written == len(files) - len(committed)
    assert contents(settings) == expected


@pytest.mark.long
def test_builders_at_once_share_the_work_and_end_as_one_would(whole, begin):
    settings, _, expected = whole
    builders = [begin(settings.data_root, threads=threads) for threads in (1, 2, 4)]
    start_together(builders)
    results = [json.loads(builder.stdout.read()) for builder in builders]
    assert [builder.wait() for builder in builders] == [0, 0, 0]
    assert sum(result["shards_written"] for result in results) == 3
    assert contents(settings) == expected


def test_a_builder_beside_one_that_is_killed_ends_the_work(whole, begin):
    settings, key, expected = whole
    doomed, other = begin(settings.data_root, fatal=3), begin(settings.data_root)
    start_together([doomed, other])
    assert other.wait() == 0
    doomed.wait()
    build_features(settings, key, device="cpu")
    assert contents(settings) == expected
    assert len(open_features(settings, key, verify=True)) == 36
