"""Reference points: what the machine does when it does nothing else. Each runs in a process of its own.

    parse    orjson over every line of a manifest, one thread
    scan     every column of a catalog's Parquet files read once
    decode   every audio file decoded to 16-bit integers once, a thread per core
    mel      the log-mel's transform over batches of 32 clips of noise, torch's own threads
    memmap   shuffled batches copied from a memory-mapped half-precision array that is in the page cache
    model    forward and backward of the default net alone, at batch and precision of the warm-up preset
    forward  forward of the default net alone, at the batch of evaluation

`seconds` is the work alone: no start of a process, no imports, and no first call.
"""

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.calls import Stopwatch, serve

MEL_BATCH, TRAIN_BATCH, EVAL_BATCH = 32, 32, 64
CLASSES = 18
EPOCHS = 5
"""Timed epochs of loaders, as one takes milliseconds."""


def default_spec() -> Any:
    """The feature spec of a data root without settings."""
    from beatsight_core.features.spec import FeatureSpec
    from beatsight_core.settings import load_settings

    return FeatureSpec.from_settings(load_settings(Path(__file__).parent, {}))


def _default() -> Any:
    """The configuration of the warm-up preset: its net and its precision."""
    from beatsight_core.runs.presets import load_preset
    from beatsight_core.settings import load_settings

    return load_preset(load_settings(Path(__file__).parent, {}), "warmup")


def parse(manifest: str) -> dict[str, Any]:
    import orjson

    watch, lines = Stopwatch(), 0
    with watch.running(), Path(manifest).open("rb") as handle:
        for line in handle:
            orjson.loads(line)
            lines += 1
    return {"seconds": watch.seconds, "lines": lines}


def scan(catalog: str) -> dict[str, Any]:
    import pyarrow.parquet

    watch, rows = Stopwatch(), 0
    with watch.running():
        for name in ("events.parquet", "hits.parquet"):
            rows += pyarrow.parquet.read_table(Path(catalog) / name).num_rows
    return {"seconds": watch.seconds, "rows": rows}


def decode(raw: str) -> dict[str, Any]:
    import soundfile

    def samples(path: Path) -> int:
        return int(soundfile.read(path, dtype="int16")[0].size)

    paths = sorted((path for path in Path(raw).rglob("*") if path.is_file()), key=lambda path: -path.stat().st_size)
    watch = Stopwatch()
    with watch.running(), ThreadPoolExecutor(os.cpu_count()) as pool:
        decoded = sum(pool.map(samples, paths))
    return {"seconds": watch.seconds, "files": len(paths), "samples": decoded}


def mel(clips: str) -> dict[str, Any]:
    import torch

    from beatsight_core.features.mel_transform import make_mel_spectrogram

    spec = default_spec()
    transform = make_mel_spectrogram(spec)
    noise = torch.randn(MEL_BATCH, spec.clip_samples)
    watch, batches = Stopwatch(), -(-int(clips) // MEL_BATCH)
    with torch.inference_mode():
        transform(noise)
        with watch.running():
            for _ in range(batches):
                transform(noise)
    return {"seconds": watch.seconds, "clips": batches * MEL_BATCH}


def memmap(clips: str, batch: str, folder: str) -> dict[str, Any]:
    import numpy as np

    rng, spec = np.random.default_rng(0), default_spec()
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        path, shape = Path(temporary) / "pictures", (int(clips), spec.n_mels, spec.frames)
        rng.integers(0, 1 << 14, shape, dtype=np.uint16).tofile(path)
        array = np.memmap(path, dtype=np.float16, mode="r", shape=shape)
        watch = Stopwatch()
        for epoch in range(1 + EPOCHS):
            order, size = rng.permutation(len(array)), int(batch)
            with watch.running():
                for start in range(0, len(order), size):
                    array[order[start : start + size]]
            if not epoch:  # the first one fills the page tables
                watch.seconds = 0.0
    return {"seconds": watch.seconds, "clips": EPOCHS * len(array)}


def model(clips: str) -> dict[str, Any]:
    import torch

    from beatsight_core.training.optimiser import amp_dtype

    net, pictures = _net().train(), _noise(TRAIN_BATCH)
    targets = (torch.rand(TRAIN_BATCH, CLASSES) < 0.1).float()
    precision = amp_dtype(_default(), torch.device("cpu"))
    watch, batches = Stopwatch(), -(-int(clips) // TRAIN_BATCH)

    def step() -> None:
        with torch.autocast("cpu", dtype=precision, enabled=precision is not None):
            logits = net(pictures)
        logits = logits.float()  # of one answer, or of several
        torch.nn.functional.binary_cross_entropy_with_logits(logits, targets.expand_as(logits)).backward()
        net.zero_grad(set_to_none=True)

    for _ in range(5):
        step()
    with watch.running():
        for _ in range(batches):
            step()
    return {"seconds": watch.seconds, "clips": batches * TRAIN_BATCH}


def forward(clips: str) -> dict[str, Any]:
    import torch

    net, pictures = _net().eval(), _noise(EVAL_BATCH)
    watch, batches = Stopwatch(), -(-int(clips) // EVAL_BATCH)
    with torch.inference_mode():
        for _ in range(3):
            net(pictures)
        with watch.running():
            for _ in range(batches):
                net(pictures)
    return {"seconds": watch.seconds, "clips": batches * EVAL_BATCH}


def _noise(clips: int) -> Any:
    """Pictures of nothing, in decibels."""
    import torch

    spec = default_spec()
    return spec.floor_db * torch.rand(clips, spec.n_mels, spec.frames)


def _net() -> Any:
    import torch

    from beatsight_core.training.net.build_net import build_model

    torch.manual_seed(0)
    spec = default_spec()
    net = build_model(_default().model, spec, CLASSES)
    return net.to(memory_format=torch.channels_last)


if __name__ == "__main__":
    serve({function.__name__: function for function in (parse, scan, decode, mel, memmap, model, forward)})
