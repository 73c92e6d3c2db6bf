"""A real run that is killed in the middle of an epoch and goes on ends like one that was left alone."""

import contextlib
import json
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.gpu.context import Context
from benchmarks.gpu.forks import KILLED, Fork

RATE_HZ, LABELS = 8000, {"kick": 90.0, "snare": 700.0, "hihat_closed": 3300.0, "crash": 2000.0}
"""Sample rate of the recordings; components, and the pitch that each is heard at."""

SETTINGS = f"""
[dataset]
sample_rate_hz = {RATE_HZ}
pre_ms = 20.0
tail_ms = 60.0
val_ratio = 0.3
calibration_ratio = 0.2
workers = 1
[features]
n_fft = 128
hop_length = 64
n_mels = 16
f_max_hz = 4000.0
[gates]
profile = "demo"
"""
VALUES = {
    "epochs": 3, "lr": 5e-3, "warmup_epochs": 1, "batch": 16, "accumulation": 1, "least_steps": 0, "model": "cnn_small",
}  # fmt: skip
LOSS_LIMIT, PROBABILITY_LIMIT = 0.1, 0.02
"""Greatest relative distance of the last losses of two runs whose kernels may add up in any order; greatest distance of
the probabilities that the finished model gives on the device and on the CPU."""


def resume(context: Context) -> None:
    """Kill and resume a run with deterministic kernels, and on a GPU one with the usual ones too."""
    with tempfile.TemporaryDirectory(dir=context.scratch()) as folder, contextlib.ExitStack() as stack:
        root = Path(folder) / "data"

        def fork(function: Callable[..., Any], *arguments: Any) -> Fork:
            return stack.enter_context(Fork(function, root, context.device, *arguments))

        key = fork(_prepared).receive(context.left_s)
        kinds = (True, False) if context.on_cuda else (True,)
        wholes = {kind: fork(_trained, key, "whole", kind, None) for kind in kinds}
        killed = {kind: fork(_trained, key, "killed", kind, _middle(root)) for kind in kinds}
        for kind in kinds:
            code = killed[kind].end(context.left_s)
            context.check(f"{_name(kind)}: the run was killed", code == KILLED, value=code, limit=KILLED)
        again = {kind: fork(_trained, key, "killed", kind, None) for kind in kinds}
        for kind in kinds:
            _compare(context, kind, *(runs[kind].receive(context.left_s) for runs in (wholes, again)))
        answers = fork(_answered).receive(context.left_s)
        context.check(
            "inference gives the CPU's answers", answers["apart"] <= PROBABILITY_LIMIT, value=answers["apart"],
            limit=PROBABILITY_LIMIT, hits=answers["hits"],
        )  # fmt: skip


def _name(deterministic: bool) -> str:
    return "deterministic" if deterministic else "usual kernels"


def _middle(root: Path) -> int:
    """The step in which a run is killed: in the middle of its second epoch, after the checkpoint of the first."""
    steps = json.loads((root / "hits.json").read_text())["train"] // VALUES["batch"]
    return steps + max(1, steps // 2)


def _compare(context: Context, deterministic: bool, whole: dict[str, Any], again: dict[str, Any]) -> None:
    """Compare the end of a run that was left alone with that of one that was killed and resumed."""
    import numpy as np

    name = _name(deterministic)
    differ = sum(not np.array_equal(whole["weights"][key], again["weights"][key]) for key in whole["weights"])
    farthest = max(float(abs(whole["weights"][key] - again["weights"][key]).max()) for key in whole["weights"])
    context.say(
        "resumed", deterministic=deterministic, resumed=again["resumed"], steps=again["steps"], losses=again["losses"],
        losses_of_whole=whole["losses"], arrays_that_differ=differ, farthest=farthest, warned=again["warned"],
    )  # fmt: skip
    went_on = again["resumed"] and 0 < again["steps"] < whole["steps"]
    context.check(f"{name}: it went on from its checkpoint", went_on, value=again["steps"], limit=whole["steps"])
    if deterministic:
        context.check(f"{name}: arrays of weights that are not bit-equal", differ == 0, value=differ, limit=0)
        same = whole["losses"] == again["losses"]
        context.check(f"{name}: losses are equal", same, value=again["losses"], limit=whole["losses"])
    else:
        apart = abs(whole["losses"][-1] - again["losses"][-1]) / whole["losses"][-1]
        context.check(f"{name}: the last loss is about equal", apart <= LOSS_LIMIT, value=apart, limit=LOSS_LIMIT)


def _prepared(root: Path, device: str, tell: Callable[[Any], None]) -> str:
    """Write a few recordings and their manifest, export them and make features on the device; the dataset's key."""
    from beatsight_core.dataset.export import export_dataset
    from beatsight_core.dataset.index import dataset_key
    from beatsight_core.features.build import build_features
    from beatsight_core.features.cache import open_features

    settings = _settings(root, "prepared")
    manifest = _write_recordings(root)
    export_dataset(settings, manifest)
    build_features(settings, manifest, device=device)
    key = dataset_key(settings, manifest)
    hits = {"train": len(open_features(settings, key).rows_of("train"))}
    (root / "hits.json").write_text(json.dumps(hits))
    return str(key)


def _settings(root: Path, runs: str) -> Any:
    """Settings of the data root, whose runs lie in a folder of their own."""
    from beatsight_core.settings import load_settings

    root.mkdir(exist_ok=True)
    (root / "beatsight.toml").write_text(SETTINGS)
    return load_settings(root, {"BEATSIGHT_RUN_ROOT": str(root / runs)})


def _write_recordings(root: Path) -> Path:
    """Sessions of decaying tones over faint noise; the path of their manifest."""
    import numpy as np
    import soundfile

    rng, lines = np.random.default_rng(0), []
    for session in range(10):
        times = np.cumsum(rng.uniform(0.15, 0.25, 24))
        audio = rng.normal(0, 0.001, int((times[-1] + 0.3) * RATE_HZ))
        for number, onset in enumerate(times):
            label = str(rng.choice(list(LABELS)))
            decay = np.arange(int(0.12 * RATE_HZ)) / RATE_HZ
            stroke = 0.4 * np.sin(2 * np.pi * LABELS[label] * decay) * np.exp(-25 * decay)
            start = int(onset * RATE_HZ)
            audio[start : start + len(stroke)] += stroke
            lines.append(_event(session, number, float(onset), label))
        path = root / "raw" / "made" / f"{session:02d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.clip(audio, -1, 1), RATE_HZ, subtype="PCM_16")
    manifest = root / "manifests" / "made.jsonl"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return manifest


def _event(session: int, number: int, onset: float, label: str) -> dict[str, Any]:
    return {
        "event_id": f"made-{session}-{number}", "session_id": f"made session {session}", "source_set": "made",
        "audio_path": f"{session:02d}.wav", "onset_time": round(onset, 6),
        "components": [{"label": label, "velocity": 0.8}], "drummer_id": f"drummer {session % 3}",
    }  # fmt: skip


def _trained(
    root: Path, device: str, key: str, runs: str, deterministic: bool, kill_at: int | None, tell: Callable[[Any], None]
) -> dict[str, Any]:
    """Train, or go on with, a run; kill this process in a step, or return what the run came to."""
    import warnings

    from beatsight_core.training import checkpoint
    from beatsight_core.training.run import train

    os.environ["WANDB_MODE"] = "disabled"
    settings = _settings(root, f"{runs}-{_name(deterministic).split()[0]}")
    overrides, progress = {**VALUES, "deterministic": deterministic}, _steps_of(kill_at)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        run = train(settings, key, "warmup", overrides=overrides, device=device, progress=progress)
    state = checkpoint.load_newest(run.folder / "checkpoints").state
    return {
        "weights": {name: value.float().cpu().numpy() for name, value in state["model"].items()},
        "losses": [record["val_loss"] for record in state["history"]],
        "steps": progress.steps,
        "resumed": run.resumed,
        "warned": sorted({str(each.message)[:160] for each in said if "determinis" in str(each.message)})[:5],
    }


def _steps_of(kill_at: int | None) -> Any:
    """A progress that counts the steps of training, and kills this process in one of them."""
    from beatsight_core.progress import SilentProgress

    class Steps(SilentProgress):
        def __init__(self) -> None:
            super().__init__()
            self.steps = 0

        @contextlib.contextmanager
        def task(self, name: str, total: float | None = None, unit: str = "") -> Iterator[Any]:
            yield self

        def skip(self, count: float) -> None:
            pass

        def advance(self, count: float = 1, **numbers: Any) -> None:
            self.steps += bool(count)
            if self.steps == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    return Steps()


def _answered(root: Path, device: str, tell: Callable[[Any], None]) -> dict[str, Any]:
    """Load the finished model on the device and on the CPU, and let both name the drums of a recording."""
    from beatsight_core.inference import load
    from beatsight_core.runs.records import open_run

    run = open_run(_settings(root, "whole-deterministic"), "latest")
    recording = next((root / "raw").rglob("*.wav"))
    there, here = (load(run, device=name).classify_file(recording) for name in (device, "cpu"))
    apart = abs(there.answers.probabilities - here.answers.probabilities)
    return {"hits": len(apart), "apart": float(apart.max(initial=0.0))}
