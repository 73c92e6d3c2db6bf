"""`classify` and `models export` as typed."""

import json
import shutil

import pytest
from click.testing import CliRunner

from beatsight_core.cli.main import beatsight
from beatsight_core.inference import load


def call(*arguments):
    return CliRunner().invoke(beatsight, [str(argument) for argument in arguments])


def test_a_model_handed_over_is_asked_by_its_folder_alone(trained, recording, tmp_path):
    settings, run_id = trained
    folder = tmp_path / "model"
    said = call("models", "export", "latest", "--to", folder, "--data-root", settings.data_root, "--json")
    assert said.exit_code == 0, said.output
    told = json.loads(said.stdout)
    assert (told["model"], told["promoted"], told["folder"]) == (run_id, False, str(folder))
    assert max(told["differences"].values()) < 1e-4
    answers = []
    for backend in ("torch", "onnx"):
        heard = call("classify", recording, "--model", folder, "--backend", backend, "--json", "--device", "cpu",
                     "--data-root", tmp_path / "nowhere")  # fmt: skip
        assert heard.exit_code == 0, heard.output
        answers.append(json.loads(heard.stdout))
    first, second = ([(hit["onset"], hit["components"]) for hit in answer["hits"]] for answer in answers)
    assert first == second
    assert not (tmp_path / "nowhere").exists()
    again = call("models", "export", run_id, "--to", folder, "--data-root", settings.data_root)
    assert again.exit_code == 2
    assert "something already" in again.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("classify", "none.wav"), 3, "no champion yet"),
        (("classify", "none.wav", "--model", "./nowhere"), 3, "no such model folder"),
        (("classify", "none.wav", "--out", "hits.txt"), 2, "not a kind that can be written"),
        (("models", "export", "--to", "x"), 3, "no champion yet"),
        (("models", "export", "none", "--to", "x"), 3, "no run 'none'"),
        (("models", "export"), 2, "--to"),
    ],
)
def test_what_cannot_be_done_is_said(data_root, words, code, said, monkeypatch):
    monkeypatch.chdir(data_root)
    result = call("--data-root", data_root, *words)
    assert result.exit_code == code
    assert said in result.stderr
    assert list(data_root.iterdir()) == []


def test_the_listing_takes_the_data_root_before_or_after(data_root):
    for words in (("--data-root", data_root, "models"), ("models", "--data-root", data_root)):
        assert "No model has been promoted" in call(*words).stdout


def test_a_handed_over_model_can_be_moved(delivery, tmp_path):
    moved = shutil.copytree(delivery.folder, tmp_path / "a" / "b")
    assert load(moved, backend="onnx").classes == load(delivery.folder, backend="onnx").classes
