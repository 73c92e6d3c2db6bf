import pytest
import torch

from beatsight_core.errors import ModelError
from beatsight_core.training import checkpoint
from beatsight_core.training.fit import fit


def state(value):
    weights = {"weight": torch.full((3,), float(value))}
    return {"model": weights, "progress": {"epoch": value}, "step": value, "metrics": {}}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_last_three_are_kept_with_their_digests(tmp_path):
    for epoch in range(1, 6):
        checkpoint.save_checkpoint(tmp_path, state(epoch), epoch, epoch * 10)
    kept = [f"epoch-{epoch:04d}-step-{epoch * 10:08d}.pt" for epoch in (3, 4, 5)]
    assert names(tmp_path) == sorted([*kept, *(f"{name}.sha256" for name in kept), "latest"])
    assert (tmp_path / "latest").read_text() == f"{kept[-1]}\n"
    newest = checkpoint.load_newest(tmp_path)
    assert (newest.path.name, newest.state["progress"]["epoch"]) == (kept[-1], 5)


@pytest.mark.parametrize("damage", ["cut", "flip", "no digest", "empty"])
def test_a_broken_newest_one_falls_back(tmp_path, damage, caplog):
    for epoch in (1, 2):
        checkpoint.save_checkpoint(tmp_path, state(epoch), epoch, epoch)
    newest = checkpoint.last_checkpoints(tmp_path)[0][1]
    data = bytearray(newest.read_bytes())
    if damage == "no digest":
        newest.with_name(newest.name + ".sha256").unlink()
    else:
        data[len(data) // 2] ^= 1
        newest.write_bytes({"cut": data[:-1], "flip": data, "empty": b""}[damage])
    assert checkpoint.load_newest(tmp_path).state["progress"]["epoch"] == 1
    assert "falling back" in caplog.text


def test_none_at_all_is_a_beginning_and_none_whole_an_error(tmp_path):
    assert checkpoint.load_newest(tmp_path) is None
    checkpoint.save_checkpoint(tmp_path, state(1), 1, 1)
    checkpoint.last_checkpoints(tmp_path)[0][1].write_bytes(b"x")
    with pytest.raises(ModelError, match="None of 1 checkpoints is whole"):
        checkpoint.load_newest(tmp_path)


def test_best_is_whole_between_its_two_writes(tmp_path):
    checkpoint.save_best(tmp_path, state(1))
    old = (tmp_path / "best.pt").read_bytes()
    checkpoint.save_best(tmp_path, state(2))
    digest = (tmp_path / "best.pt.sha256").read_text()
    # Killed after the sidecar that vouches for both was written, before the file was replaced.
    checkpoint.save_best(tmp_path, state(1))
    both = digest + (tmp_path / "best.pt.sha256").read_text()
    (tmp_path / "best.pt.sha256").write_text(both)
    assert (tmp_path / "best.pt").read_bytes() == old
    assert checkpoint.load(tmp_path / "best.pt")["progress"]["epoch"] == 1


def test_a_foreign_file_is_refused(tmp_path):
    path = checkpoint.save_best(tmp_path, {})
    torch.save({"format": "something else"}, path)
    (tmp_path / "best.pt.sha256").write_text(checkpoint.sha256_file(path))
    with pytest.raises(ModelError, match="another format"):
        checkpoint.load(path)


def test_defect_10_best_and_checkpoints_have_the_same_keys(attempt):
    run = attempt("run", epochs=1, ema_decay=0.9)
    fit(run)
    newest = checkpoint.last_checkpoints(run.checkpoints)[0][1]
    best, last = (torch.load(path, weights_only=True) for path in (run.checkpoints / "best.pt", newest))
    assert best["model"].keys() == last["model"].keys() == last["average"].keys()
    assert {"optimizer", "scaler", "rng", "progress", "plateau", "best"} <= last.keys()
    assert {"config", "classes", "spec", "digests", "run_id"} <= best.keys() & last.keys()
