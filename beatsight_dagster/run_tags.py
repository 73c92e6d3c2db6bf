"""Tags of runs: those that a person reads are words, the others begin as Dagster's own hidden ones, which none sees."""

import dagster as dg

_HIDDEN = ".dagster/"
"""The UI shows no tag that begins so."""

STAGE_TAG = "beatsight/stage"
"""What a run does; `dagster.yaml` limits how many of a stage run at once."""

MANIFEST_TAG = "manifest"
"""The manifest of a run over several partitions; for others their partition says it."""

CHAIN_TAG = f"{_HIDDEN}beatsight-chain"
"""The manifest partition whose preparation a run belongs to."""

UNTIL_TAG = "until"
"""How far the runs of a preparation follow each other: "health" or "probe"; without it, "health"."""

STATE_TAG = f"{_HIDDEN}beatsight-asked-for"
"""The state of a manifest for which its preparation was asked for."""

DRIVE_TAG = f"{_HIDDEN}beatsight-drive"
"""What a terminal started, by a random text: no sensor goes on with it."""

PROCESS_TAG = f"{_HIDDEN}beatsight-process"
"""The process that carries out a run, where that is no code server of Dagster's."""

PARTITION_TAG, BACKFILL_TAG = "dagster/partition", "dagster/backfill"
RANGE_START_TAG, RANGE_END_TAG = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


def until(run: dg.DagsterRun) -> str:
    """Return how far the preparation that a run belongs to goes."""
    return run.tags.get(UNTIL_TAG, "health")
