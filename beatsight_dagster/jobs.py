"""The jobs: what the runbook's steps are called in the UI. Each is partitioned by manifest, so a launch names one.

How to launch, here `probe` for the manifest `demo-1a2b3c4d`:

    UI        Jobs, probe, Materialize all, choose the partition
    CLI       dagster job execute -j probe --tags '{"dagster/partition": "demo-1a2b3c4d"}'
    several   dagster job backfill -w workspace.yaml -j probe --partitions a,b --noprompt   (with `dagster dev` up)

A job of Dagster cannot select assets of two partitions definitions, and `dataset` and `feature_cache` have one of their
own (manifest x source set). So `prepare_data` is a chain of three: its own run covers `manifest` and
`audio_inventory`, and the sensor `prepare_data_continues` follows with `export_data` (one run over all source sets of
the manifest, a range of partitions) and then `judge_data`. Where no daemon runs, `beatsight run MANIFEST --until
health` does the same. By hand, `export_data` is launched for
`demo-1a2b3c4d|slakh2100` or for several such partitions.
"""

import dagster as dg

STAGE_TAG = "beatsight/stage"
"""Run tag: what a run does; `dagster.yaml` limits how many of a stage run at once."""

prepare_data = dg.define_asset_job(
    "prepare_data",
    selection=dg.AssetSelection.assets("manifest", "audio_inventory"),
    description="Read a manifest and look for its audio; the export, the features and the health report follow.",
    tags={STAGE_TAG: "ingest"},
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
    tags={STAGE_TAG: "record"},
)

judge_data = dg.define_asset_job(
    "judge_data",
    selection=dg.AssetSelection.assets("dataset_health"),
    description="Judge a manifest's data by the health gates.",
    tags={STAGE_TAG: "health"},
)

probe = dg.define_asset_job(
    "probe",
    selection=dg.AssetSelection.assets("warmup_probe", "evaluation_report"),
    description="Train the warm-up probe and evaluate it at once (runbook 4.1 and 5).",
    tags={STAGE_TAG: "training"},
)

baseline_refresh = dg.define_asset_job(
    "baseline_refresh",
    selection=dg.AssetSelection.assets("baseline_model", "evaluation_report"),
    description="Train the baseline and evaluate it (runbook 4.2).",
    tags={STAGE_TAG: "training"},
)

long_run = dg.define_asset_job(
    "long_run",
    selection=dg.AssetSelection.assets("long_run_model", "evaluation_report"),
    description="Train the long run, if the probe of this manifest is healthy, and evaluate it (runbook 4.3).",
    tags={STAGE_TAG: "training"},
)

release = dg.define_asset_job(
    "release",
    selection=dg.AssetSelection.assets("promoted_model", "run_archive"),
    description="Promote the newest run if it meets the criteria, and archive it (runbook 6 and 7).",
    tags={STAGE_TAG: "release"},
)

JOBS = [prepare_data, export_data, record_dataset, judge_data, probe, baseline_refresh, long_run, release]
