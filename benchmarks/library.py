"""Calls of the library that no verb shows alone, each in a process of its own.

loader   shuffled batches of a dataset's cached features, as training takes them
mapped   the same where they do not fit into memory and stay in the memory-mapped cache
graph    everything the graph's assets call, in their order, without Dagster
"""

from typing import Any

from benchmarks.calls import Stopwatch, serve
from benchmarks.reference import EPOCHS


def loader(root: str, manifest: str, batch: str) -> dict[str, Any]:
    from beatsight_core.training.data.batches import load_clips

    return _shuffled_epochs(root, manifest, int(batch), load_clips)


def mapped(root: str, manifest: str, batch: str) -> dict[str, Any]:
    from beatsight_core.training.data.batches import MappedClips

    return _shuffled_epochs(root, manifest, int(batch), MappedClips)


def _shuffled_epochs(root: str, manifest: str, batch: int, clips_of: Any) -> dict[str, Any]:
    """An epoch to warm up and some that are timed."""
    import torch

    from beatsight_core.dataset.index import dataset_key
    from beatsight_core.features.cache import open_features
    from beatsight_core.settings import load_settings
    from beatsight_core.training.data.order import epoch_order

    settings = load_settings(root)
    features = open_features(settings, dataset_key(settings, manifest))
    clips = clips_of(features, features.rows_of("all"), torch.device("cpu"))
    watch = Stopwatch()
    for number in range(1 + EPOCHS):
        order = clips.prepare_rows(epoch_order(len(clips), 0, number))
        with watch.running():
            for rows in order.split(batch):
                clips.batch(rows)
        if not number:
            watch.seconds = 0.0
    return {"seconds": watch.seconds, "clips": EPOCHS * len(clips), "storage": features.spec.storage}


def graph(root: str, manifest: str, until: str) -> dict[str, Any]:
    from beatsight_core.audio.inventory import build_inventory
    from beatsight_core.manifest.read_manifest import build_catalog
    from beatsight_core.settings import load_settings

    watch, settings = Stopwatch(), load_settings(root)
    with watch.running():
        catalog = build_catalog(settings, manifest)
        build_inventory(settings, catalog)
        if until != "ingest":
            from beatsight_core.dataset.export import export_dataset
            from beatsight_core.evaluation.evaluate import evaluate
            from beatsight_core.features.build import build_features
            from beatsight_core.health.report import run_health
            from beatsight_core.training.run import train

            export_dataset(settings, catalog.key)
            build_features(settings, catalog.key, device="cpu")
            run_health(settings, catalog.key)
            run = train(settings, catalog.key, "warmup", overrides={"epochs": 1}, device="cpu")
            evaluate(settings, run.run_id, device="cpu")
    return {"seconds": watch.seconds}


if __name__ == "__main__":
    serve({function.__name__: function for function in (loader, mapped, graph)})
