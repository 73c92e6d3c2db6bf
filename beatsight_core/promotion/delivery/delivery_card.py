"""The README.md of a model handed over: for a developer who has this folder and nothing else. Markdown."""

from collections.abc import Mapping
from typing import Any

from beatsight_core.runs.lookup import ModelInfo
from beatsight_core.safe_text import for_markdown

README = "README.md"

_CARD = """# Drum-hit classifier: {name}

{notice}

Names the drums struck in a clip of audio: several at once if several were.

| file | what for |
|---|---|
| `model.onnx` | any program with onnxruntime: samples in, probabilities out, nothing else needed |
| `model.safetensors`, `model.pth` | the net's weights, for torch; the same tensors under the same names |
| `components.json` | what each probability is of, in order |
| `thresholds.json` | from which probability on a component is said |
| `feature_spec.json` | sample rate, length of a clip, and how the log-mel is made that the weights expect |
| `config.json` | which net the weights are of, and which run they are from |
| `selftest.npz` | some clips, and what the trained net says about them: to check a port with |
| `checksums.json` | SHA-256 of every file |

## In Python, with the platform

```python
from beatsight_core.inference import load
from beatsight_core.safe_text import for_markdown

heard = load("path/to/this/folder").classify_file("groove.wav")
for hit in heard.hits:
    print(hit.onset_s, hit.components, hit.velocity)
```

`load(..., backend="onnx")` does the same without torch.

## In any language, with onnxruntime

Input `clips`: float32 (clips, {samples}), mono at {rate:,} Hz, the onset at sample {pre:,} of each ({pre_ms:g} ms
before it, {tail_ms:g} ms from it on; silence where the recording has nothing). Level does not matter. Output
`probabilities`: float32 (clips, {classes}). A component is said where its probability is at least its threshold.
Components, thresholds and the feature spec also stand in the file's own metadata.

## Components and thresholds

{table}
{figures}"""


def delivery_card(info: ModelInfo, figures: Mapping[str, Any] | None, *, promoted: bool) -> str:
    """Return the card of a model that is handed over, as Markdown.

    Args:
        info: Description of the model.
        figures: Content of a run's `metrics.json`; None for a version.
        promoted: Flag of a model that is a version, whose own card lies beside this one.
    """
    spec = info.spec
    rows = [
        f"| {for_markdown(name)} | {value:.3f} |"
        for name, value in zip(info.classes, info.thresholds.tolist(), strict=True)
    ]
    return _CARD.format(
        name=for_markdown(info.name),
        notice="Promoted: `card.md` says what it learned from, how good it is, and what it is bad at."
        if promoted
        else "> **NOT PROMOTED.** Nobody has held this model against the criteria.",
        samples=f"{spec.clip_samples:,}",
        rate=spec.sample_rate_hz,
        pre=round(spec.pre_ms * spec.sample_rate_hz / 1000),
        pre_ms=spec.pre_ms,
        tail_ms=spec.tail_ms,
        classes=len(info.classes),
        table="\n".join(["| component | threshold |", "|---|---|", *rows, ""]),
        figures=_figures(figures),
    )


def _figures(figures: Mapping[str, Any] | None) -> str:
    if figures is None:
        return ""
    metrics = figures["metrics"]
    told = [
        f"- {title}: {metrics[name]:.3f}"
        for name, title in (
            ("accuracy", "accuracy (micro-F1 over components)"),
            ("exact_match", "exact match"),
            ("macro_f1", "macro-F1"),
        )
        if metrics.get(name) is not None
    ]
    return "\n".join([f"\n## On its {metrics['hits']:,} validation hits", "", *told, ""])
