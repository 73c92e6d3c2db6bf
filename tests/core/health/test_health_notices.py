"""What is said beside the gates: counts and lists are of the same things, and rows have signs and units."""

import orjson
import pytest
import soundfile as sf

from beatsight_core.cli import text
from beatsight_core.evaluation.confusion import WatchedPair
from beatsight_core.gates.release_limits import PROBE_PROFILES
from beatsight_core.health.report import run_health
from beatsight_core.metrics import ClassScores, Metrics
from beatsight_core.promotion.probe_gates import confusion_gates, figure_gates
from beatsight_core.runs.curve_checks import check_curves
from beatsight_core.settings import load_settings


@pytest.mark.parametrize(
    ("rates", "said"),
    [
        ({"a": 16000, "b": 48000, "c": 44100, "d": 48000}, "3 files of another rate than the 16000 Hz that are set: "
         "1 at 44100 Hz, 2 at 48000 Hz."),
        ({"a": 16000, "b": 8000}, "1 files of another rate than the 16000 Hz that are set: 1 at 8000 Hz."),
        ({"a": 16000, "b": 16000}, None),
    ],
)  # fmt: skip
def test_files_of_other_rates_are_counted_and_listed_alike(data_root, small_settings, corpus, drums, rates, said):
    manifest = corpus([row for name in rates for row in drums.take(name)])
    for name, rate in rates.items():
        path = small_settings.data_root / f"raw/takes/{name}.wav"
        sf.write(path, sf.read(path)[0], rate)
    file = data_root / "beatsight.toml"
    file.write_text(f"{file.read_text()}[sources.takes]\nexpected_sample_rate_hz = 16000\n")
    report = orjson.loads(run_health(load_settings(data_root, {}), manifest).report_json.read_bytes())
    found = [notice["text"] for notice in report["notices"] if "of another rate" in notice["text"]]
    assert found == ([f"takes has {said}"] if said else [])


def test_the_rows_of_a_probe_have_signs_and_units(capsys):
    metrics = Metrics(accuracy=0.7, per_class={"crash": ClassScores(recall=0.2, positives=40)})
    pair = {"kick and ride": WatchedPair(25, 25, 1000, 0.05)}
    limits = PROBE_PROFILES["production"]
    history = [{"epoch": epoch, "train_loss": 1 / epoch, "val_loss": 1 / epoch} for epoch in range(1, 9)]
    gates = [*figure_gates(metrics, limits), *confusion_gates(pair, pair, limits), *check_curves(history, 1)]
    text.gates([gate.to_json() for gate in gates], "Gates of the probe")
    table = capsys.readouterr().out.splitlines()[: len(gates) + 2]
    lines = {"_".join(line[4:].strip().split("  ")[0].split()): line for line in table if line[:4] in ("pass", "FAIL")}
    assert len(lines) == len(gates)
    assert "0.700" in lines["accuracy"]
    assert "≥ 0.720" in lines["accuracy"]
    assert "> 0.250" in lines["recall_crash"]
    assert "≤ 1.95 %" in lines["confusion_kick_and_ride"]
    assert "≤ 20.0 %" in lines["training_smooth"]
    assert "≥ 1.00 %" in lines["validation_flat"]
    assert "> 0.000" in lines["training_falls"]
    assert lines["finite"].rstrip().endswith("≤ 0")
    assert all(set("≥≤>") & set(line) for line in lines.values())
