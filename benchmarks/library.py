"""Calls of the library that no verb shows alone, each in a process of its own.

loader   shuffled batches of a dataset's cached features, as training takes them
mapped   the same where they do not fit into memory and stay in the memory-mapped cache
graph    everything the graph's assets call, in their order, without Dagster
epoch    an epoch on a CUDA device over made-up clips: speed, idle share, waits for the device
"""

import threading
import time
import warnings
from pathlib import Path
from typing import Any

from benchmarks.calls import Stopwatch, serve
from benchmarks.reference import CLASSES, EPOCHS, default_spec


def loader(root: str, manifest: str, batch: str) -> dict[str, Any]:
    from beatsight_core.training.batches import load_clips

    return _shuffled_epochs(root, manifest, int(batch), load_clips)


def mapped(root: str, manifest: str, batch: str) -> dict[str, Any]:
    from beatsight_core.training.batches import MappedClips

    return _shuffled_epochs(root, manifest, int(batch), MappedClips)


def _shuffled_epochs(root: str, manifest: str, batch: int, clips_of: Any) -> dict[str, Any]:
    """An epoch to warm up and some that are timed."""
    import torch

    from beatsight_core.dataset.index import dataset_key
    from beatsight_core.features.cache import open_features
    from beatsight_core.settings import load_settings
    from beatsight_core.training.order import epoch_order

    settings = load_settings(root)
    features = open_features(settings, dataset_key(settings, manifest))
    clips = clips_of(features, features.rows_of("all"), torch.device("cpu"))
    watch = Stopwatch()
    for number in range(1 + EPOCHS):
        order = clips.place(epoch_order(len(clips), 0, number))
        with watch.running():
            for rows in order.split(batch):
                clips.batch(rows)
        if not number:
            watch.seconds = 0.0
    return {"seconds": watch.seconds, "clips": EPOCHS * len(clips), "storage": features.spec.storage}


def graph(root: str, manifest: str, until: str) -> dict[str, Any]:
    from beatsight_core.audio.inventory import build_inventory
    from beatsight_core.manifest.reader import build_catalog
    from beatsight_core.settings import load_settings

    watch, settings = Stopwatch(), load_settings(root)
    with watch.running():
        catalog = build_catalog(settings, manifest)
        build_inventory(settings, catalog)
        if until != "ingest":
            from beatsight_core.dataset.export import export_dataset
            from beatsight_core.evaluation.report import evaluate
            from beatsight_core.features.build import build_features
            from beatsight_core.health.report import run_health
            from beatsight_core.training.run import train

            export_dataset(settings, catalog.key)
            build_features(settings, catalog.key, device="cpu")
            run_health(settings, catalog.key)
            run = train(settings, catalog.key, "warmup", overrides={"epochs": 1}, device="cpu")
            evaluate(settings, run.run_id, device="cpu")
    return {"seconds": watch.seconds}


def epoch(clips: str, *assignments: str) -> dict[str, Any]:
    """The baseline with `key=value` overrides; as many clips as a third of the device's memory holds, at most `clips`.

    The second epoch is timed.
    """
    import torch

    if not torch.cuda.is_available():
        return {"seconds": 0.0, "device": None}
    from beatsight_core.settings import load_settings
    from beatsight_core.training.batches import ResidentClips
    from beatsight_core.training.cuda import compile_training, training_context
    from beatsight_core.training.loop import Trainer
    from beatsight_core.training.model import build_model
    from beatsight_core.training.plan import resolve
    from beatsight_core.training.presets import load_preset

    device, spec = torch.device("cuda", torch.cuda.current_device()), default_spec()
    count = min(int(clips), torch.cuda.mem_get_info(device)[1] // (3 * spec.clip_bytes))
    with training_context(device):
        overrides = dict(text.split("=", 1) for text in assignments)
        config = resolve(load_preset(load_settings(Path.cwd()), "baseline", overrides), count, on_cuda=True)
        shape = (count, spec.n_mels, spec.frames)
        stored = torch.empty(shape, dtype=getattr(torch, spec.storage), device=device)
        for part in stored.split(1 << 16):
            part.random_(256) if spec.storage == "uint8" else part.uniform_(spec.floor_db, 0.0)
        targets = (torch.rand(count, CLASSES, device=device) < 0.1).to(torch.uint8)
        net = build_model(config.model, spec, CLASSES).to(device)
        trainer = Trainer(config, net, ResidentClips(stored, targets, spec.floor_db), spec.floor_db)
        if config.compile:
            compile_training(trainer, spec.n_mels, spec.frames)
        trainer.train_epoch(lambda _: None)
        trainer.end_epoch(0.0)
        torch.cuda.set_sync_debug_mode("warn")
        with warnings.catch_warnings(record=True) as waits, _Idle(device.index) as idle:
            warnings.simplefilter("always")
            numbers = trainer.train_epoch(lambda _: None)
        torch.cuda.set_sync_debug_mode("default")
    return {
        "seconds": numbers.seconds,
        "clips": numbers.clips,
        "device": torch.cuda.get_device_name(device),
        "batch": config.batch,
        "idle_share": idle.share,
        "waits": sum("synchronizing" in str(wait.message) for wait in waits),
        "peak_gib": torch.cuda.max_memory_allocated(device) / 2**30,
    }


class _Idle(threading.Thread):
    """Share of the block's time in which no kernel ran on a device, as its driver says several times a second."""

    def __init__(self, index: int):
        super().__init__(daemon=True)
        self._index, self._done, self._busy = index, threading.Event(), list[float]()

    @property
    def share(self) -> float:
        return 1.0 - sum(self._busy) / (100.0 * max(len(self._busy), 1))

    def __enter__(self) -> "_Idle":
        time.sleep(1.0)  # the driver's figure is of the second before it is asked
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.join()

    def run(self) -> None:
        import torch

        while not self._done.wait(0.25):
            self._busy.append(float(torch.cuda.utilization(self._index)))


if __name__ == "__main__":
    serve({function.__name__: function for function in (loader, mapped, graph, epoch)})
