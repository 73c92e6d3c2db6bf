"""The ear: how much is heard of a kit that nothing was learned from. One of two real kits is left out, both ways.

Candidates learn from the other kit alone, with as many steps each: the default (half of the clips are the same
performances on random synthetic kits), `cnn_small` on the real kit only, and the old recipe. None of the kit left out
is looked at in training, nor in choosing thresholds or epochs. A figure for both kits is the mean of the two, seed by
seed. Runs are kept, so a suite that was stopped goes on.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from benchmarks.bench import REAL, Bench
from benchmarks.figures import Figure, Target, Values

KITS = ("tosdk", "muldjord")
AIMS = {"accuracy": 0.65, "exact_match": 0.42, "macro_f1": 0.50, "macro_ap": None}
BATCH = 64
STEPS = {
    "batch": BATCH, "accumulation": 1, "least_steps": 0, "lr": 2e-3, "warmup_epochs": 1, "weight_decay": 1e-2,
    "val_fraction": 0.5, "val_minimum": 1,
}  # fmt: skip
PLAIN = {
    "model": "cnn_small", "ema_decay": 0, "augment_mix_probability": 0.1, "augment_mix_db": 6,
    "augment_neighbour_probability": 0,
}  # fmt: skip
SMALL = "cnn_small on the real kit only"
CANDIDATES: dict[str, tuple[bool, dict[str, object]]] = {
    "default": (True, {}),
    SMALL: (False, PLAIN),
}
"""Name -> whether random kits join in, and what differs from the presets' values."""

Scores = dict[str, dict[str, Values]]
"""Candidate -> metric -> a value per seed."""


def measure(bench: Bench) -> list[Figure]:
    """Four metrics for each kit left out."""
    if not REAL.is_dir():
        note = "not measured: recordings of real kits are not here"
        return [Figure(f"{name} on a kit never heard", "", (), note=note) for name in AIMS]
    root = _settled(bench)
    by_kit = {kit: _scores(bench, root, kit) for kit in KITS}
    figures = [figure for kit in KITS for figure in _figures(kit, by_kit[kit])]
    return [*figures, *_figures("either kit", _mean(list(by_kit.values())))]


def _figures(left_out: str, scores: Scores) -> Iterator[Figure]:
    default, small, old = (scores[name] for name in ("default", SMALL, "old recipe"))
    for metric, aim in AIMS.items():
        floor = small[metric] if all(small[metric]) else ()  # a ratio to nothing says nothing
        yield Figure(
            f"{metric} on {left_out}, never heard", "", default[metric], floor, SMALL, old[metric],
            Target(aim, "value", at_least=True) if aim else None, f">= {aim:g}" if aim else "",
            f"one value a seed; {_ahead(default[metric], cnn_small=small[metric], old_recipe=old[metric])}",
        )  # fmt: skip


def _ahead(default: Values, **others: Values) -> str:
    """By how much the default's mean lies above each other's, beside the wider of the two spreads of their seeds."""
    said = []
    for name, values in others.items():
        lead, spread = fmean(default) - fmean(values), max(max(each) - min(each) for each in (default, values))
        said.append(f"{lead:+.3f} to {name} (spread {spread:.3f}: {'clear' if lead > spread else 'not clear'})")
    return ", ".join(said)


def _mean(kits: Sequence[Scores]) -> Scores:
    """Candidate by candidate, metric by metric and seed by seed, the mean over the kits left out."""
    return {
        name: {metric: tuple(map(fmean, zip(*(kit[name][metric] for kit in kits), strict=True))) for metric in AIMS}
        for name in kits[0]
    }


def _scores(bench: Bench, root: Path, left_out: str) -> Scores:
    heard = next(kit for kit in KITS if kit != left_out)
    manifests = {kit: _manifest_of(bench, root, kit) for kit in KITS}
    with_random = _with_random_kits(bench, root, manifests[heard])
    for manifest in (*manifests.values(), with_random):
        bench.verb(root, "export", manifest)
        bench.verb(root, "features", manifest, "--device", "cpu")
    scores: Scores = {name: dict.fromkeys(AIMS, ()) for name in (*CANDIDATES, "old recipe")}
    for seed in range(1, bench.scale.ear_seeds + 1):
        for name, (random_kits, values) in CANDIDATES.items():
            bench.say(f"ear: {left_out} left out, {name}, seed {seed}")
            manifest = with_random if random_kits else manifests[heard]
            epochs = bench.scale.ear_epochs * (1 if random_kits else 2)  # half as many clips
            run = _trained(bench, root, manifest, {**STEPS, **values, "seed": seed, "epochs": epochs})
            words = ("evaluate", run, "--on", manifests[left_out], "--split", "all", "--device", "cpu")
            _add(scores[name], bench.verb(root, *words).said["metrics"])
        bench.say(f"ear: {left_out} left out, the old recipe, seed {seed}")
        _add(scores["old recipe"], _old_recipe(bench, root, manifests[heard], manifests[left_out], seed))
    return scores


def _trained(bench: Bench, root: Path, manifest: Path, values: Mapping[str, object]) -> str:
    """The id of a run."""
    words = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
    said = bench.verb(root, "train", manifest, "--preset", "warmup", "--device", "cpu", *words).said
    return str(said["run_id"])


def _old_recipe(bench: Bench, root: Path, heard: Path, left_out: Path, seed: int) -> Mapping[str, float]:
    """What the old recipe comes to, with as many steps as the others; kept like the other runs."""
    steps = max(1, 2 * bench.scale.ear_epochs * heard.read_bytes().count(b"\n") // BATCH)
    kept = root / f"old-{heard.stem}-{seed}-{steps}.json"
    if not kept.exists():
        files = []
        for manifest in (heard, left_out):
            file = root / f"{manifest.stem}.npz"
            if not file.exists():
                bench.call("ear_old", "clips", root, manifest, file)
            files.append(file)
        kept.write_text(json.dumps(dict(bench.call("ear_old", "train", *files, seed, steps).said)))
    scores: Mapping[str, float] = json.loads(kept.read_text())
    return scores


def _with_random_kits(bench: Bench, root: Path, manifest: Path) -> Path:
    """A manifest that holds the training sessions of another once more, each on a kit of its own."""
    merged = root / f"{manifest.stem}-with-random-kits.jsonl"
    name = f"random_{manifest.stem.removeprefix('kit_')}"
    recast = bench.verb(root, "recast", manifest, "--rounds", "1", "--source-set", name).said["manifest"]
    if not merged.exists():
        bench.verb(root, "manifest", "merge", manifest, str(recast), "-o", merged)
    return merged


def _manifest_of(bench: Bench, root: Path, kit: str) -> Path:
    """The lines of one kit, of as many sessions as the scale asks for."""
    path = root / f"kit_{kit}.jsonl"
    if not path.exists():
        sessions: dict[str, list[str]] = {}
        with (REAL / "manifests/real_kits.jsonl").open() as lines:
            for line in lines:
                event = json.loads(line)
                if event["source_set"] == f"kit_render_{kit}":
                    sessions.setdefault(event["session_id"], []).append(line)
        chosen = list(sessions.values())[: bench.scale.ear_sessions]
        path.write_text("".join(line for session in chosen for line in session))
    return path


def _settled(bench: Bench) -> Path:
    """A data root that is kept, with the real kits' folders as roots."""
    root = bench.data / "roots" / f"ear-{bench.scale.ear_sessions}"
    root.mkdir(parents=True, exist_ok=True)
    tables = [f'[sources.kit_render_{kit}]\nroots = ["{REAL / "raw"}"]\n' for kit in KITS]
    values = f'[dataset]\nval_ratio = {bench.scale.val_ratio}\n[gates]\nprofile = "demo"\n'
    (root / "beatsight.toml").write_text("\n".join([*tables, values]))
    return root


def _add(scores: dict[str, Values], metrics: Mapping[str, float | None]) -> None:
    for name in AIMS:
        scores[name] += (float(metrics[name] or 0.0),)
