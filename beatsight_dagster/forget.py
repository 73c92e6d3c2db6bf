"""Dagster's part of forgetting a manifest: its partition, and those of source sets that only it had.

    python -m beatsight_dagster.forget look MANIFEST   print as JSON what Dagster knows of it
    python -m beatsight_dagster.forget remove KEY      remove its partition, and source sets listed on standard input

`beatsight manifest forget` calls these; it works with and without a running daemon. The job `forget_manifest` does all
of it from the web UI. What Dagster's log holds of a partition stays there, and the sensor takes no account of it.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from beatsight_core.errors import BeatSightError, UsageError
from beatsight_core.settings import Settings, load_settings
from beatsight_dagster.failures import plain_failures
from beatsight_dagster.partitions import MANIFESTS_NAME, SOURCE_SETS_NAME, from_partition, to_partition
from beatsight_dagster.resources.settings import SettingsResource
from beatsight_dagster.run_tags import CHAIN_TAG, PARTITION_TAG, RANGE_START_TAG

_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


class ForgetConfig(dg.Config):
    """Which manifest, and how."""

    manifest: str = Field(description="Key of the manifest, or a beginning of it that fits no other.")
    really: bool = Field(default=False, description="Do it; without, the run's log only says what would be done.")
    with_file: bool = Field(default=False, description="Remove its file from the inbox, too.")
    override_use: str | None = Field(
        default=None, description="Why it is forgotten although a run or a model version names it; kept."
    )


@dg.op(description="Forgets a manifest: catalog, indexes, page and partition. Shards stay until they are pruned.")
@plain_failures
def forget(context: dg.OpExecutionContext, config: ForgetConfig, settings: SettingsResource) -> None:
    """Forget a manifest, or say what that would be."""
    from beatsight_core.safe_text import for_terminal
    from beatsight_core.storage.forget import find_key, forget_manifest

    current, instance = settings.load(), context.instance
    key = find_key(current, config.manifest, registered(instance))
    there = look(instance, current, key, but=context.run_id)
    require_at_rest(key, there)
    found = forget_manifest(
        current, key, with_file=config.with_file, override=config.override_use, really=config.really
    )
    if config.really:
        remove(instance, key, there["source_sets"])
    shown = {**found.to_json(), **there}
    context.add_output_metadata({"forgotten" if config.really else "would be forgotten": dg.MetadataValue.json(shown)})
    verb = "was forgotten" if config.really else "would be forgotten (really: true does it)"
    context.log.info(for_terminal(f"{key} {verb}: {', '.join(found.paths) or 'only its partition'}"))


@dg.job(description="Forget a manifest: what was made of it, and its partition. Without really: true it says what.")
def forget_manifest() -> None:
    """Forget a manifest from the web UI."""
    forget()


def registered(instance: dg.DagsterInstance) -> list[str]:
    """Return the keys of all manifests that are partitions."""
    return [from_partition(key) for key in instance.get_dynamic_partitions(MANIFESTS_NAME)]


def look(instance: dg.DagsterInstance, settings: Settings, key: str, *, but: str | None = None) -> dict[str, Any]:
    """Return what Dagster knows of a manifest.

    Args:
        instance: Dagster's instance.
        settings: Layout of the data root.
        key: Key of the manifest.
        but: Id of a run that does not count as being under way.

    Returns:
        `partition`: whether it is one; `source_sets`: partitions that only it has; `runs`: ids of its runs under way.
    """
    partition = to_partition(key)
    runs = instance.get_runs(filters=dg.RunsFilter(statuses=_UNFINISHED))
    return {
        "partition": partition in instance.get_dynamic_partitions(MANIFESTS_NAME),
        "source_sets": _its_own_source_sets(instance, settings, key),
        "runs": [run.run_id for run in runs if run.run_id != but and _is_of(run, partition)],
    }


def require_at_rest(key: str, there: dict[str, Any]) -> None:
    """Refuse to forget a manifest that is being worked on.

    Raises:
        UsageError: Runs of it are under way.
    """
    if there["runs"]:
        raise UsageError(
            f"Runs of {key} are under way: {', '.join(there['runs'])}",
            do="wait for them, or terminate them in the web UI; then run the same command again",
        )


def remove(instance: dg.DagsterInstance, key: str, source_sets: Sequence[str]) -> None:
    """Remove the partition of a manifest, and those of source sets."""
    instance.delete_dynamic_partition(MANIFESTS_NAME, to_partition(key))
    for name in source_sets:
        instance.delete_dynamic_partition(SOURCE_SETS_NAME, to_partition(name))


def _is_of(run: dg.DagsterRun, partition: str) -> bool:
    """Whether a run works on a manifest: its partition, one of its source sets, or a range of them."""
    names = (CHAIN_TAG, PARTITION_TAG, RANGE_START_TAG)
    return partition in {run.tags.get(name, "").partition("|")[0] for name in names}


def _its_own_source_sets(instance: dg.DagsterInstance, settings: Settings, key: str) -> list[str]:
    """Source sets that are partitions, that the manifest has, and that nothing else has or names."""
    from beatsight_core.manifest.catalog import open_catalog
    from beatsight_core.storage.forget import known_keys
    from beatsight_core.storage.survey import survey

    mine: set[str] = set()
    others = set(settings.sources)
    for known in known_keys(settings):
        try:
            found = set(open_catalog(settings, known).source_sets)
        except BeatSightError:
            continue
        if known == key or known.startswith(f"{key}-limit"):
            mine |= found
        else:
            others |= found
    indexes = (index for dataset in survey(settings).datasets if dataset.key != key for index in dataset.indexes)
    others |= {index.source_set for index in indexes}
    partitions = {from_partition(name) for name in instance.get_dynamic_partitions(SOURCE_SETS_NAME)}
    return sorted((mine - others) & partitions)


def _looked_up(instance: dg.DagsterInstance, settings: Settings, ref: str) -> dict[str, Any]:
    """What `look` gives of the manifest that is meant, and the names of all; only these where it is not known which."""
    from beatsight_core.storage.forget import find_key

    names = registered(instance)
    try:
        return {"registered": names, **look(instance, settings, find_key(settings, ref, names))}
    except BeatSightError:
        return {"registered": names}


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command line; see the module's text."""
    from beatsight_dagster.endings import told_at_the_end
    from beatsight_dagster.instance import use_home
    from beatsight_dagster.materialize import fail_runs_of_dead_drivers

    parser = argparse.ArgumentParser(prog="python -m beatsight_dagster.forget", description=__doc__.split("\n")[0])
    parser.add_argument("--data-root", help="folder that holds everything")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("look", help="what Dagster knows of a manifest").add_argument("key")
    verbs.add_parser("remove", help="remove a partition").add_argument("key")
    given = parser.parse_args(arguments)
    try:
        settings = load_settings(given.data_root)
        use_home(settings)
        with dg.DagsterInstance.get() as instance:
            if given.verb == "remove":
                remove(instance, given.key, json.load(sys.stdin))
                return 0
            fail_runs_of_dead_drivers(instance)
            print(json.dumps(_looked_up(instance, settings, given.key)))
    except Exception as error:  # noqa: BLE001 - the program ends with a paragraph
        return told_at_the_end(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
