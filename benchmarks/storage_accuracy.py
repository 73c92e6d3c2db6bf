"""What 8-bit storage of features costs, against half precision: in decibels, in accuracy, in bytes.

    python benchmarks/storage_accuracy.py --data-root ROOT MANIFEST --seeds 1337 1338 1339 --set epochs=4

Three questions. How far are stored pictures from those that were computed? What does a net trained on half precision
say of the same hits stored in 8 bits, hit for hit? And what do nets come to that are trained on either, seed for seed?
Everything is made below the data root as usual, so a second call finds what the first one made. Prints one JSON object.
"""

import argparse
import dataclasses
import json
import platform
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from beatsight_core.dataset.export import export_dataset
from beatsight_core.dataset.reader import open_dataset, shard_audio
from beatsight_core.evaluation.compare_models import compare_predictions
from beatsight_core.evaluation.predict import Predictor
from beatsight_core.evaluation.predictions import Predictions
from beatsight_core.features.build import build_features
from beatsight_core.features.cache import Features, open_features
from beatsight_core.features.logmel import LogMel
from beatsight_core.runs.records import Run, open_run
from beatsight_core.settings import Settings, load_settings
from beatsight_core.training.run import train
from beatsight_core.typed_json import to_json

STORAGES = ("float16", "uint8")
FIGURES = ("accuracy", "exact_match", "macro_f1")
CHUNK = 256


def main() -> None:
    arguments = parsed()
    settings = load_settings(arguments.data_root)
    key = export_dataset(settings, arguments.manifest).key
    stored = {name: with_storage(settings, name) for name in STORAGES}
    caches = {name: build_features(each, key, device="cpu") for name, each in stored.items()}
    features = {name: open_features(each, key) for name, each in stored.items()}
    overrides = dict(pair.split("=", 1) for pair in arguments.set)
    report = {
        "machine": machine(),
        "manifest": key,
        "bytes": {name: cache.bytes for name, cache in caches.items()},
        "error_db": errors(settings, key, features),
        "swapped": {},
        "trained": {},
    }
    for seed in arguments.seeds:
        runs = {name: run_of(stored[name], key, {**overrides, "seed": seed}) for name in STORAGES}
        said = {name: {at: predictions(runs[name], features[at]) for at in STORAGES} for name in STORAGES}
        report["swapped"][seed] = difference(said["float16"]["float16"], said["float16"]["uint8"])
        report["trained"][seed] = difference(said["float16"]["float16"], said["uint8"]["uint8"])
        print(f"seed {seed}: {json.dumps(report['trained'][seed])}", file=sys.stderr)
    for question in ("swapped", "trained"):
        report[f"{question}_summary"] = summary(list(report[question].values()))
    json.dump(report, sys.stdout, indent=2)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", help="path, name or key of the manifest")
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1337, 1338, 1339])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a value of the preset warmup")
    return parser.parse_args()


def with_storage(settings: Settings, storage: str) -> Settings:
    return dataclasses.replace(settings, features=dataclasses.replace(settings.features, storage=storage))


def errors(settings: Settings, key: str, features: Mapping[str, Features]) -> dict[str, dict[str, float]]:
    """How far what is stored is from float32, over every value of every clip, in decibels."""
    import torch

    logmel = LogMel(features["float16"].spec)
    squares, worst, count, row = dict.fromkeys(STORAGES, 0.0), dict.fromkeys(STORAGES, 0.0), 0, 0
    for shard in open_dataset(settings, key).shards:
        clips = shard_audio(shard)
        for start in range(0, len(clips), CHUNK):
            samples = torch.from_numpy(clips[start : start + CHUNK].astype(np.float32) / 32768)
            with torch.inference_mode():
                exact = logmel(samples).numpy()
            rows = np.arange(row, row + len(exact))
            for name, cache in features.items():
                off = cache.spec.to_decibels(cache.read(rows)) - exact
                squares[name] += float(np.square(off, dtype=np.float64).sum())
                worst[name] = max(worst[name], float(np.abs(off).max()))
            row, count = row + len(exact), count + exact.size
    return {name: {"rms": (squares[name] / count) ** 0.5, "max": worst[name]} for name in STORAGES}


def run_of(settings: Settings, key: str, overrides: Mapping[str, Any]) -> Run:
    began = time.monotonic()
    result = train(settings, key, "warmup", overrides=overrides, device="cpu")
    print(f"{result.run_id}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return open_run(settings, result.run_id)


def predictions(run: Run, features: Features) -> Predictions:
    """What a run's net says of the validation hits as they are stored in a cache."""
    rows = features.rows_of("val")
    predictor = Predictor.load(run, "cpu")
    sure = predictor.predict_rows(features, rows)
    return Predictions(features.classes, predictor.thresholds, features.meta[rows], sure, features.targets[rows])


def difference(before: Predictions, after: Predictions) -> dict[str, Any]:
    """Of two nets, or of one on two caches: each figure, the loss, the answers that differ, the greatest change."""
    compared = compare_predictions(before, after)
    losses = [float(each.metrics().loss or 0.0) for each in (before, after)]
    return {
        "hits": compared.hits,
        "sessions": compared.sessions,
        **{name: to_json(getattr(compared, name)) for name in FIGURES},
        "loss": {"before": losses[0], "after": losses[1], "difference": losses[1] - losses[0]},
        "answers_that_differ": int((before.predicted != after.predicted).any(axis=1).sum()),
        "greatest_change_of_a_probability": float(np.abs(before.probabilities - after.probabilities).max()),
    }


def summary(seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Over the seeds: differences, and beside them how far the seeds alone lie apart."""
    result: dict[str, Any] = {"n": len(seeds)}
    for name in (*FIGURES, "loss"):
        differences = [each[name]["difference"] for each in seeds]
        before = [each[name]["before"] for each in seeds]
        result[name] = {
            "mean_difference": statistics.mean(differences),
            "least": min(differences),
            "greatest": max(differences),
            "float16": [round(value, 5) for value in before],
            "uint8": [round(each[name]["after"], 5) for each in seeds],
            "spread_of_float16": max(before) - min(before),
        }
    return result


def machine() -> dict[str, Any]:
    import torch

    return {"python": platform.python_version(), "torch": torch.__version__, "threads": torch.get_num_threads(),
            "processor": platform.processor() or platform.machine()}  # fmt: skip


if __name__ == "__main__":
    main()
