"""A model found by name or folder, by either backend, and everything that keeps one from being loaded."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
import soundfile as sf

from beatsight_core.errors import DeviceError, ModelError, UsageError
from beatsight_core.inference import load

WITHOUT_TORCH = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchaudio", "safetensors", "dagster"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
"""
PARTS = {
    "model.pth", "model.safetensors", "model.onnx", "components.json", "feature_spec.json", "thresholds.json",
    "config.json", "selftest.npz", "README.md", "checksums.json",
}  # fmt: skip


@pytest.fixture
def copy(delivery, tmp_path):
    """The model's folder, to do with as one likes."""
    return shutil.copytree(delivery.folder, tmp_path / "copied")


def ask(classifier):
    return classifier.classify_clips(np.random.default_rng(0).normal(0, 0.1, (3, 640)), 8000).probabilities


def test_a_copied_folder_needs_neither_settings_nor_data_root_nor_torch(copy, recording, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    code = f"""{WITHOUT_TORCH}
from beatsight_core.inference import load
heard = load({str(copy)!r}, backend="onnx").classify_file({str(recording)!r})
assert "torch" not in sys.modules
print(len(heard.hits), heard.model)
"""
    program = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=elsewhere, capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": program, "HOME": str(elsewhere)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    count, name = done.stdout.split()
    assert int(count) > 20
    assert name.startswith("warmup-tiny")
    assert not list(elsewhere.iterdir())


def test_both_backends_say_the_same_as_the_run_itself(classifier, trained_once):
    root, run_id = trained_once
    own = load(run_id, device="cpu", data_root=root)
    assert own.name == classifier.name == run_id
    assert own.classes == classifier.classes
    assert np.abs(own.thresholds - classifier.thresholds).max() < 1e-7
    assert np.abs(ask(own) - ask(classifier)).max() < 1e-3


def test_a_folder_is_found_by_path_and_by_text(copy, monkeypatch):
    monkeypatch.chdir(copy.parent)
    for name in (copy, str(copy), "copied", "./copied"):
        assert load(name, device="cpu").classes


@pytest.mark.parametrize("kept", ["model.pth", "model.safetensors"])
def test_either_form_of_the_weights_is_enough(copy, kept, by_torch):
    for name in PARTS - {kept, "components.json", "feature_spec.json", "thresholds.json", "config.json"}:
        (copy / name).unlink()
    assert np.array_equal(ask(load(copy, device="cpu")), ask(by_torch))
    (copy / kept).unlink()
    with pytest.raises(ModelError, match=r"neither model\.safetensors nor model\.pth"):
        load(copy)


@pytest.mark.parametrize("name", ["model.safetensors", "model.onnx", "thresholds.json"])
def test_an_altered_file_is_told(copy, name):
    (copy / name).write_bytes((copy / name).read_bytes() + b" ")
    with pytest.raises(ModelError, match=f"{name} was altered"):
        load(copy)


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"[]", b'{"sha256": 1}'])
def test_a_broken_list_of_digests_is_told(copy, content):
    (copy / "checksums.json").write_bytes(content)
    with pytest.raises(ModelError, match=r"checksums\.json of a model is broken"):
        load(copy)


@pytest.mark.parametrize(
    ("name", "content", "backend", "said"),
    [
        ("model.safetensors", b"not weights", "torch", "weights are broken"),
        ("model.safetensors", b"", "torch", "weights are broken"),
        ("model.onnx", b"not a graph", "onnx", "model.onnx cannot be read"),
        ("thresholds.json", b"{}", "onnx", "files are broken"),
        ("thresholds.json", b"{", "torch", "files are broken"),
        ("feature_spec.json", b'{"spec": {"n_mels": 1}}', "torch", "files are broken"),
        ("components.json", b'{"components": ["kick"]}', "torch", "do not fit the net"),
    ],
)
def test_a_broken_file_is_told(copy, name, content, backend, said):
    (copy / "checksums.json").unlink()
    (copy / name).write_bytes(content)
    with pytest.raises(ModelError, match=said):
        load(copy, backend=backend)


def test_broken_plain_weights_are_told(copy):
    (copy / "checksums.json").unlink()
    (copy / "model.safetensors").unlink()
    for content in (b"", b"not weights", b"\x80\x02."):
        (copy / "model.pth").write_bytes(content)
        with pytest.raises(ModelError, match="weights are broken"):
            load(copy)


@pytest.mark.parametrize("name", ["components.json", "feature_spec.json", "thresholds.json", "config.json"])
@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_a_missing_file_is_told(copy, name, backend):
    (copy / name).unlink()
    with pytest.raises(ModelError, match=f"lacks {name}"):
        load(copy, backend=backend)


def test_a_missing_graph_is_told(copy):
    (copy / "model.onnx").unlink()
    with pytest.raises(ModelError, match=r"lacks model\.onnx"):
        load(copy, backend="onnx")


def test_a_graph_of_an_earlier_release_is_told(copy):
    (copy / "checksums.json").unlink()
    model = onnx.load(copy / "model.onnx")
    for node in model.graph.node:
        node.input[:] = ["decibels" if name == "clips" else name for name in node.input]
    model.graph.input[0].name = "decibels"
    onnx.save(model, copy / "model.onnx")
    with pytest.raises(ModelError, match="asks for decibels, not for clips"):
        load(copy, backend="onnx")


def test_what_is_no_model_is_told(trained_once, tmp_path):
    root, run_id = trained_once
    with pytest.raises(ModelError, match="no such model folder"):
        load(tmp_path / "none")
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(ModelError, match="a model is the folder around it"):
        load(tmp_path / "model.onnx")
    with pytest.raises(ModelError, match=r"lacks config\.json"):
        load(tmp_path)
    with pytest.raises(ModelError, match="no champion yet"):
        load(data_root=root)
    with pytest.raises(ModelError, match="no run 'none'"):
        load("none", data_root=root)
    with pytest.raises(ModelError, match="no ONNX form"):
        load(run_id, backend="onnx", data_root=root)
    with pytest.raises(UsageError, match="no backend 'tensorflow'"):
        load(backend="tensorflow")


def test_a_name_that_is_also_a_folder_of_other_things_is_told(trained_once, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    with pytest.raises(ModelError, match=r"components\.json is not in it"):
        load("mine", data_root=trained_once[0])


def test_a_device_that_is_not_there_is_told(copy):
    with pytest.raises(DeviceError, match="CPU, and cuda was asked for"):
        load(copy, backend="onnx", device="cuda")
    with pytest.raises(DeviceError):
        load(copy, device="cuda:99")


def test_a_backend_that_is_not_installed_is_told(copy):
    code = f"""{WITHOUT_TORCH.replace('"safetensors"', '"onnxruntime"')}
import importlib.util, importlib
found = importlib.util.find_spec
def find_spec(name, package=None):
    try:
        return found(name, package)
    except ModuleNotFoundError:
        return None
importlib.util.find_spec = find_spec
from beatsight_core.errors import DeviceError
from beatsight_core.inference import load
for backend in ("torch", "onnx"):
    try:
        load({str(copy)!r}, backend=backend)
    except DeviceError as error:
        print(error.what)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "The torch backend needs torch, which is not installed",
        "The ONNX backend needs onnxruntime, which is not installed",
    ]


def test_what_was_handed_over_is_whole_and_explains_itself(delivery, recording):
    assert {path.name for path in delivery.folder.iterdir()} == PARTS
    assert not delivery.promoted
    assert set(delivery.differences) == {"model.pth", "model.safetensors", "model.onnx"}
    assert max(delivery.differences.values()) < 1e-4
    assert delivery.clips > 20
    card = (delivery.folder / "README.md").read_text()
    assert "NOT PROMOTED" in card
    assert "(clips, 640), mono at 8,000 Hz, the onset at sample 160" in card
    assert "| kick | 0." in card
    model = onnx.load(delivery.folder / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(told["components"])[:2] == ["kick", "snare"]
    assert len(json.loads(told["thresholds"])) == len(json.loads(told["components"]))
    assert json.loads(told["feature_spec"])["sample_rate_hz"] == sf.info(recording).samplerate
