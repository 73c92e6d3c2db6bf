"""A version handed over: its own files, its card, and every form checked where it lies."""

import pytest

from beatsight_core.errors import ModelError, UsageError
from beatsight_core.files import sha256_file
from beatsight_core.promotion.delivery import deliver
from beatsight_core.promotion.delivery.deliver import export_model
from beatsight_core.promotion.delivery.export_model import FORMS, spec_with_normalisation
from beatsight_core.runs.lookup import read_info
from beatsight_core.training.net.build_net import build_model


def test_the_champion_is_handed_over_with_its_card(released, tmp_path):
    (tmp_path / "empty").mkdir()
    done = export_model(released.settings, None, tmp_path / "empty")
    assert (done.model, done.promoted) == ("version 2", True)
    version = released.settings.models_dir / "versions" / "2"
    for name in (*FORMS, "card.md", "thresholds.json"):
        assert sha256_file(done.folder / name) == sha256_file(version / name)
    assert "Promoted" in (done.folder / "README.md").read_text()
    assert sum(path.stat().st_size for path in done.folder.iterdir()) == done.bytes
    first = export_model(released.settings, "v1", tmp_path / "first")
    assert first.model == "version 1"


def test_a_folder_that_holds_something_is_left_alone(released, tmp_path):
    (tmp_path / "mine").write_text("mine")
    for to in (tmp_path, tmp_path / "mine"):
        with pytest.raises(UsageError, match="something already"):
            export_model(released.settings, None, to)
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_form_that_says_something_else_is_not_handed_over(released, tmp_path, monkeypatch):
    monkeypatch.setattr(deliver, "TOLERANCE_EXPORT", -1.0)
    with pytest.raises(ModelError, match="differs from the trained net"):
        export_model(released.settings, None, tmp_path / "to")
    assert not list(tmp_path.glob("to*"))


def test_a_link_is_not_replaced(released, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    with pytest.raises(UsageError, match="something already"):
        export_model(released.settings, None, tmp_path / "link")


def test_statistics_of_the_training_hits_travel_with_a_net_that_uses_them(released):
    info = read_info(released.settings.models_dir / "versions" / "1")
    net = build_model("cnn_small", info.spec, len(info.classes))
    normalisation = spec_with_normalisation(info, net.state_dict())["normalisation"]
    assert normalisation["reference"] == "bands"
    assert len(normalisation["mean_db"]) == len(normalisation["scale"]) == info.spec.n_mels
