import subprocess
import sys

import numpy as np
import pytest

from beatsight_core.gates.gate import Gate, at_most, written
from beatsight_core.pages import pictures
from beatsight_core.taxonomy import CORE, EXTENDED


def is_small_png(data):
    return data.startswith(b"\x89PNG") and len(data) <= pictures.LIMIT_BYTES


def test_curves_of_a_history_with_gaps():
    history = [{"epoch": i, "train": 1 / (i + 1), **({"val": 1.1 / (i + 1)} if i % 2 else {})} for i in range(60)]
    assert is_small_png(pictures.curves(history, ["train", "val", "absent"], title="Loss", limits={"gate": 0.45}))


def test_pictures_of_nothing_are_pictures():
    assert is_small_png(pictures.curves([], []))
    assert is_small_png(pictures.bars([], []))
    assert is_small_png(pictures.gates([]))


def test_bars_and_gates_take_hostile_names_and_missing_values():
    names = ["$x_{", "<script>", "漢字" * 60, "\u202eright to left", "\x07"]
    assert is_small_png(pictures.bars(names, [1, None, 3, 0, 5e9], title="$"))
    gates = [written(Gate(name, None, at_most(1), "")) for name in names]
    assert is_small_png(pictures.gates(gates))


@pytest.mark.parametrize("classes", [CORE.components, EXTENDED.components])
def test_a_confusion_matrix_of_millions_stays_small(classes):
    matrix = np.random.default_rng(0).integers(0, 3_000_000, (len(classes), len(classes))).astype(float)
    matrix[0, 1] = np.nan
    assert is_small_png(pictures.confusion(matrix, classes, classes, title="Confusion", axes_names=("struck", "said")))


def test_a_matrix_of_another_shape_than_its_names_is_refused():
    with pytest.raises(ValueError, match=r"\(2, 2\)"):
        pictures.heatmap(np.zeros((2, 2)), ["a"], ["b", "c"])


def test_data_uris_name_what_they_hold():
    assert pictures.data_uri(b"\x89PNG\r\n") == "data:image/png;base64,iVBORw0K"
    assert pictures.data_uri(b"RIFF....").startswith("data:audio/wav;base64,")
    assert pictures.data_uri(b"fLaC").startswith("data:audio/flac;base64,")
    with pytest.raises(ValueError, match="neither a picture nor a sound"):
        pictures.data_uri(b"<html>")


def test_importing_pages_imports_no_matplotlib():
    code = "import sys, beatsight_core.pages.page; sys.exit('matplotlib' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
