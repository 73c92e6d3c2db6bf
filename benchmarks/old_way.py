"""The old way: the same work as a folder of scripts does it, one event, one file, one clip at a time.

    catalog   every line parsed and looked over in one loop; nothing is written
    health    every line parsed again, and counted
    export    for every event a seek and a read, for every one of its components a WAV
    features  for every WAV a log-mel stretched to 128 frames, saved in a file of its own
    loader    for every item of a shuffled epoch a file loaded
    train     that loader and the net on those pictures
    evaluate  that loader and the net's forward pass

It is a yardstick, kept short; nothing else uses it.
"""

import json
import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.calls import Stopwatch, serve
from benchmarks.reference import default_spec

PRE_S, TAIL_S, RATE_HZ, STRETCHED = 0.08, 0.2, 44_100, 128
BATCH = 32


def catalog(manifest: str, lines: str) -> dict[str, Any]:
    watch, labels = Stopwatch(), Counter[str]()
    sessions: dict[str, int] = {}
    with watch.running():
        for event in _events(manifest, int(lines)):
            if not event.get("event_id") or not event.get("components") or event["onset_time"] < 0:
                continue
            sessions[event["session_id"]] = sessions.get(event["session_id"], 0) + 1
            for component in event["components"]:
                labels[component["label"]] += 1
    return {"seconds": watch.seconds, "sessions": len(sessions)}


def health(manifest: str, lines: str) -> dict[str, Any]:
    watch, seen, counts = Stopwatch(), set(), Counter[Any]()
    with watch.running():
        for event in _events(manifest, int(lines)):
            struck = tuple(sorted(component["label"] for component in event["components"]))
            place = (event["session_id"], event["onset_time"], struck)
            counts["duplicate"] += place in seen
            seen.add(place)
            counts.update(("technique", name) for name in event["techniques"])
            for component in event["components"]:
                counts["label", component["label"]] += 1
                counts["bucket", component["label"], component["dynamic_bucket"]] += 1
    return {"seconds": watch.seconds, "duplicates": counts["duplicate"]}


def export(manifest: str, raw: str, out: str) -> dict[str, Any]:
    import soundfile
    import soxr

    watch, folder = Stopwatch(), Path(out)
    index: list[dict[str, str]] = []
    open_path: Path | None = None
    audio: Any = None
    with watch.running():
        for number, event in enumerate(_events(manifest)):
            path = Path(raw) / event["source_set"] / event["audio_path"]
            if path != open_path:
                open_path, audio = path, soundfile.SoundFile(path)
            rate = audio.samplerate
            audio.seek(max(0, int((event["onset_time"] - PRE_S) * rate)))
            clip = audio.read(int((PRE_S + TAIL_S) * rate), dtype="float32", always_2d=True).mean(axis=1)
            if rate != RATE_HZ:
                clip = soxr.resample(clip, rate, RATE_HZ)
            for component in event["components"]:
                target = folder / component["label"] / f"{number:06d}.wav"
                target.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(target, clip, RATE_HZ, subtype="PCM_16")
                index.append({"file": str(target), "label": component["label"]})
        (folder / "labels.json").write_text(json.dumps(index))
    return {"seconds": watch.seconds, "files": len(index)}


def features(clips: str, out: str) -> dict[str, Any]:
    import soundfile
    import torch

    from beatsight_core.features.mel_transform import make_mel_spectrogram

    transform, watch, folder = make_mel_spectrogram(default_spec()), Stopwatch(), Path(out)
    paths = sorted(Path(clips).rglob("*.wav"))
    with watch.running(), torch.inference_mode():
        for number, path in enumerate(paths):
            samples = torch.from_numpy(soundfile.read(path, dtype="float32")[0])
            samples = torch.nn.functional.pad(samples, (0, max(0, 2048 - len(samples))))
            decibels = transform(samples).clamp_min(1e-10).log10() * 10.0
            picture = torch.nn.functional.interpolate(decibels[None], size=STRETCHED, mode="linear")[0]
            torch.save((picture.half(), path.parent.name), folder / f"{number:06d}.pt")
    return {"seconds": watch.seconds, "clips": len(paths)}


def loader(pictures: str) -> dict[str, Any]:
    watch, clips = Stopwatch(), 0
    batches = _loader(pictures)
    for warm in (False, True):
        with watch.running():
            clips = sum(len(batch[1]) for batch in batches)
        if not warm:
            watch.seconds = 0.0
    return {"seconds": watch.seconds, "clips": clips}


def train(pictures: str, clips: str) -> dict[str, Any]:
    import torch

    net = _net().train()
    optimizer = torch.optim.AdamW(net.parameters())
    watch, seen = Stopwatch(), 0
    with watch.running():
        for batch, targets in _loader(pictures):
            torch.nn.functional.cross_entropy(net(batch), targets).backward()
            optimizer.step()
            optimizer.zero_grad()
            seen += len(targets)
            if seen >= int(clips):
                break
    return {"seconds": watch.seconds, "clips": seen}


def evaluate(pictures: str, clips: str) -> dict[str, Any]:
    import torch

    net = _net().eval()
    watch, seen = Stopwatch(), 0
    with watch.running(), torch.inference_mode():
        for batch, targets in _loader(pictures):
            net(batch).argmax(dim=1)
            seen += len(targets)
            if seen >= int(clips):
                break
    return {"seconds": watch.seconds, "clips": seen}


def _events(manifest: str, lines: int | None = None) -> Iterator[dict[str, Any]]:
    with Path(manifest).open() as handle:
        for number, line in enumerate(handle):
            if number == lines:
                return
            yield json.loads(line)


def _loader(folder: str) -> Any:
    """A shuffled loader of single files, a process per core as such scripts have them."""
    import torch

    paths = sorted(Path(folder).glob("*.pt"))
    random.Random(0).shuffle(paths)
    return torch.utils.data.DataLoader(_Files(paths), batch_size=BATCH, shuffle=True, num_workers=os.cpu_count() or 1)


class _Files:
    """A data set of one file per item: (128, 128) decibels and the index of its label."""

    def __init__(self, paths: list[Path]):
        from benchmarks.playing import COMPONENTS

        self.paths, self.index = paths, {label: number for number, label in enumerate(COMPONENTS)}

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> Any:
        import torch

        picture, label = torch.load(self.paths[number], weights_only=True)
        return picture.float(), self.index[label]


def _net() -> Any:
    from beatsight_core.training.net.drum_net import DrumNet
    from benchmarks.playing import COMPONENTS

    return DrumNet(128, STRETCHED, len(COMPONENTS))


if __name__ == "__main__":
    serve({function.__name__: function for function in (catalog, health, export, features, loader, train, evaluate)})
