"""The old recipe of an ear, for comparison: a label a stroke, up to 8 kHz, each band by itself.

    python -m benchmarks.ear_old train HEARD UNHEARD SEED STEPS

HEARD and UNHEARD are `.npz` files of `clips` (n, samples) int16 at 44.1 kHz, `targets` (n, classes) and `train` (n,)
booleans. Each clip stands once for each of its components, as when every event is cut by itself; a net of four blocks
learns which one by softmax, and says the likeliest. Mels end at 8 kHz; each band runs from 0 to 1 over the clip.
"""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.calls import serve

BATCH, RATE_HZ, TOP_HZ, LR, LEAST_LR = 64, 44_100, 8_000.0, 4.5e-4, 2e-5
WARMING = 0.1
"""Share of the steps in which the rate rises; it then falls along a cosine, as the old probe's did."""


def train(heard: str, unheard: str, seed: str, steps: str) -> dict[str, Any]:
    """Train on one kit, and say the likeliest component of each clip of the other."""
    import torch
    from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR

    from beatsight_core.metrics import multilabel_metrics
    from beatsight_core.taxonomy import CORE
    from beatsight_core.training.net.drum_net import DrumNet
    from beatsight_core.training.optimiser import cpu_has_bfloat16

    torch.manual_seed(int(seed))
    known, other = np.load(heard), np.load(unheard)
    pictures, targets = _pictures(known["clips"][known["train"]]), known["targets"][known["train"]]
    rows, labels = targets.nonzero()
    net = DrumNet(pictures.shape[1], pictures.shape[2], targets.shape[1])
    optimizer = torch.optim.AdamW(net.parameters(), lr=LR, weight_decay=1e-4)
    rising = max(1, round(WARMING * int(steps)))
    schedule = SequentialLR(
        optimizer,
        [LinearLR(optimizer, 0.01, 1.0, rising), CosineAnnealingLR(optimizer, int(steps) - rising + 1, LEAST_LR)],
        [rising],
    )
    net.train()
    for _ in range(int(steps)):
        chosen = torch.randint(len(rows), (BATCH,)).numpy()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=cpu_has_bfloat16()):  # as the others train
            logits = net(pictures[rows[chosen]]).float()
        torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels[chosen])).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    sure = _probabilities(net.eval(), _pictures(other["clips"]))
    said = np.zeros_like(sure)
    said[np.arange(len(sure)), sure.argmax(axis=1)] = 1.0
    hard = multilabel_metrics(said, other["targets"], 0.5, CORE.components)
    ranked = multilabel_metrics(sure, other["targets"], 0.5, CORE.components)
    figures = {name: getattr(hard, name) for name in ("accuracy", "exact_match", "macro_f1")}
    return {"seconds": 0.0, **figures, "macro_ap": ranked.macro_ap}


def _pictures(clips: Any) -> Any:
    """(n, 128, frames): decibels of mels up to 8 kHz, each band of each clip from 0 to 1."""
    import torch

    from beatsight_core.features.mel_transform import transforms

    mel = transforms().MelSpectrogram(RATE_HZ, n_fft=2048, hop_length=512, n_mels=128, f_max=TOP_HZ, mel_scale="slaney")
    parts = []
    with torch.inference_mode():
        for start in range(0, len(clips), 32):
            power = mel(torch.from_numpy(clips[start : start + 32].astype(np.float32) / 32768))
            decibels = 10.0 * power.clamp_min(1e-10).log10()
            least, most = decibels.amin(dim=2, keepdim=True), decibels.amax(dim=2, keepdim=True)
            parts.append((decibels - least) / (most - least).clamp_min(1e-6))
    return torch.cat(parts).clone()


def _probabilities(net: Any, pictures: Any) -> Any:
    import torch

    with torch.inference_mode():
        return torch.cat([torch.softmax(net(part), dim=1) for part in pictures.split(256)]).numpy()


def clips(root: str, manifest: str, to: str) -> dict[str, Any]:
    """The exported clips of a manifest as an `.npz` file."""
    from beatsight_core.dataset.index import dataset_key
    from beatsight_core.dataset.reader import open_dataset, shard_audio
    from beatsight_core.features.cache import label_matrix
    from beatsight_core.settings import load_settings
    from beatsight_core.taxonomy import CORE

    settings = load_settings(Path(root))
    dataset = open_dataset(settings, dataset_key(settings, manifest))
    meta = dataset.metadata()
    samples = np.concatenate([shard_audio(shard) for shard in dataset.shards])
    np.savez(to, clips=samples, targets=label_matrix(meta["labels"], CORE), train=(meta["split"] == "train").to_numpy())
    return {"seconds": 0.0, "clips": len(samples)}


if __name__ == "__main__":
    serve({function.__name__: function for function in (train, clips)})
