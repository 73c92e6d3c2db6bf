"""The jobs: what the runbook's steps are called in the UI. Each is partitioned by manifest, so a launch names one.

How to launch, here `probe` for the manifest `demo-1a2b3c4d`:

    UI        Jobs, probe, Materialize all, choose the partition
    CLI       dagster job execute -j probe --tags '{"dagster/partition": "demo-1a2b3c4d"}'
    several   dagster job backfill -w workspace.yaml -j probe --partitions a,b --noprompt   (with `dagster dev` up)

A job of Dagster cannot select assets of two partitions definitions, and `dataset` and `feature_cache` have one of their
own (manifest x source set). So `prepare_data` and `refresh` are chains: their own run covers `manifest` and
`audio_inventory`, and the sensor `prepare_data_continues` follows with `export_data` (one run over all source sets of
the manifest, a range of partitions), then `judge_data`, and after `refresh` with `probe`. The tag `until` says how far.
Nothing starts `baseline_refresh`, `long_run` or `release` but a person. Where no daemon runs, `beatsight run MANIFEST`
carries out the same jobs one after the other. By hand, `export_data` is launched for `demo-1a2b3c4d|slakh2100` or for
several such partitions.
"""

import dagster as dg

from beatsight_dagster.run_tags import STAGE_TAG, UNTIL_TAG

INGEST = ("manifest", "audio_inventory")
"""What a preparation begins with."""

prepare_data = dg.define_asset_job(
    "prepare_data",
    selection=dg.AssetSelection.assets(*INGEST),
    description="Read a manifest and look for its audio; the export, the features and the health report follow.",
)

refresh = dg.define_asset_job(
    "refresh",
    selection=dg.AssetSelection.assets(*INGEST),
    description=(
        "From a manifest to a judged candidate: prepare_data, export_data, judge_data and probe follow each other, and "
        "stop where a gate fails. What comes next (baseline, long run, release) a person decides."
    ),
    tags={UNTIL_TAG: "probe"},
)

export_data = dg.define_asset_job(
    "export_data",
    selection=dg.AssetSelection.assets("dataset", "feature_cache"),
    description="Export the clips of a manifest's source sets and warm their features.",
    tags={STAGE_TAG: "export"},
)

record_dataset = dg.define_asset_job(
    "record_dataset",
    selection=dg.AssetSelection.assets("dataset"),
    description="Record what was exported from a terminal; started by the sensor dataset_indexes, and exports nothing.",
)

judge_data = dg.define_asset_job(
    "judge_data",
    selection=dg.AssetSelection.assets("dataset_health"),
    description="Judge a manifest's data by the health gates.",
)

probe = dg.define_asset_job(
    "probe",
    selection=dg.AssetSelection.assets("warmup_probe"),
    description="Train the warm-up probe and evaluate it at once (runbook 4.1 and 5).",
)

baseline_refresh = dg.define_asset_job(
    "baseline_refresh",
    selection=dg.AssetSelection.assets("baseline_model"),
    description="Train the baseline and evaluate it at once (runbook 4.2).",
)

long_run = dg.define_asset_job(
    "long_run",
    selection=dg.AssetSelection.assets("long_run_model"),
    description="Train the long run, if the probe of this manifest is healthy, and evaluate it at once (runbook 4.3).",
)

evaluate = dg.define_asset_job(
    "evaluate",
    selection=dg.AssetSelection.assets("evaluation_report"),
    description="Evaluate a run once more: by default what was trained last, on its validation split (runbook 5).",
)

release = dg.define_asset_job(
    "release",
    selection=dg.AssetSelection.assets("promoted_model", "run_archive"),
    description="Promote what was evaluated last if it meets the criteria, and archive it (runbook 6 and 7).",
)

JOBS = [
    prepare_data, refresh, export_data, record_dataset, judge_data,
    probe, baseline_refresh, long_run, evaluate, release,
]  # fmt: skip
