"""The evaluation of a run that promotion judges, found among those that were made. Loads no library of tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from beatsight_core.features.spec import FeatureSpec
from beatsight_core.files import digest_json, read_json, sha256_file
from beatsight_core.runs.records import Run
from beatsight_core.settings import Settings
from beatsight_core.typed_json import from_json

METRICS = "metrics.json"


@dataclass(frozen=True, slots=True)
class _Heading:
    """The part of `metrics.json` by which an evaluation is found.

    Attributes:
        on: Key of the manifest.
        split: Split of the hits.
        fraction: Share of the split; None is all of it.
        made_at: Time in UTC.
        digests: Digests that the figures belong to.
        format: Format of the evaluation.
        compared_with: Rivals; only whether there are any counts.
    """

    on: str
    split: str
    fraction: float | None
    made_at: str
    digests: Mapping[str, str]
    format: int = 0
    compared_with: tuple[Mapping[str, str | list[str]], ...] = ()


def find_evaluation(settings: Settings, trained: Run) -> Path | None:
    """Return the evaluation of a run on the whole validation split of its own dataset that promotion judges.

    Of those that belong to the run's checkpoint, thresholds, dataset and spec all figures are alike: the first one of
    the newest format, and without rivals if there is such, so that the answer stays the same when more are made. If
    none belongs to them, the newest.
    """
    made = []
    for path in (settings.metrics_dir / trained.run_id).glob(f"val-*/{METRICS}"):
        heading = from_json(_Heading, read_json(path), path)
        if heading.on == trained.key and heading.split == "val" and heading.fraction is None:
            made.append((path.parent, heading))
    if not made:
        return None
    made.sort(key=lambda found: (found[1].made_at, found[0]))
    own = digests_of(trained, trained.dataset_digest, trained.spec)
    belong = [found for found in made if own.items() <= found[1].digests.items()]
    if not belong:
        return made[-1][0]
    return max(belong, key=lambda found: (found[1].format, not found[1].compared_with))[0]


def digests_of(trained: Run, dataset: str, spec: FeatureSpec) -> dict[str, str]:
    """Return the digests of what a run's figures belong to, for a dataset and a spec."""
    return {
        "checkpoint": sha256_file(trained.checkpoint),
        "dataset": dataset,
        "spec": spec.digest,
        "thresholds": digest_json(trained.thresholds.tolist()),
    }
