"""Every asset on a data root in which a file is wrong: it is made, or fails in a paragraph and not in a trace."""

import logging
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.execution.plan.objects import StepFailureData

from beatsight_core.manifest.read_manifest import manifest_key
from beatsight_core.settings import load_settings
from beatsight_dagster.checks.told import BEGINS
from tests.faults import wrong
from tests.faults.lab import Tally


def under_wrong_files(folder: Path, root: Path, rounds: int, rng: random.Random) -> Tally:
    """Make an asset `rounds` times, each time another one on another damaged copy of a data root."""
    from beatsight_dagster.definitions import ASSETS

    tally = Tally("assets on wrong files")
    key = manifest_key(load_settings(root, environment={}).manifests_dir / "takes.jsonl")
    for number in range(rounds):
        asset = ASSETS[number % len(ASSETS)]
        copy = wrong.linked_copy(root, folder / "root")
        case = wrong.wrong_file(copy, rng)
        tally.tried += 1
        for problem in _problems(asset, copy, key, tally):
            tally.failures.append(f"{asset.key.to_user_string()}, {case}: {problem}")
        shutil.rmtree(copy, ignore_errors=True)
    return tally


def _problems(asset: dg.AssetsDefinition, root: Path, key: str, tally: Tally) -> Iterator[str]:
    from beatsight_dagster.partitions import register, to_partition
    from beatsight_dagster.resources.settings import SettingsResource

    partition: Any = to_partition(key)
    if isinstance(asset.partitions_def, dg.MultiPartitionsDefinition):
        partition = dg.MultiPartitionKey({"manifest": partition, "source_set": to_partition("kits")})
    with _instance() as instance:
        register(instance, [key], ["kits"])
        name = asset.op.name
        config = {"manifest": {"path": str(root / "manifests" / "takes.jsonl")}}
        config |= {preset: {"max_seconds": 0.5} for preset in ("warmup_probe", "baseline_model", "long_run_model")}
        result = dg.materialize(
            [asset], partition_key=partition, instance=instance, raise_on_error=False,
            resources={"settings": SettingsResource(data_root=str(root))},
            run_config={"ops": {name: {"config": config[name]}} if name in config else {}},
        )  # fmt: skip
        tally.count("made" if result.success else "failed in a paragraph")
        told = [entry.user_message for entry in instance.all_logs(result.run_id) if entry.level >= logging.ERROR]
        for event in result.all_events:
            if event.is_step_failure:
                yield from _untold(event.step_failure_data, told)


def _untold(failed: StepFailureData, told: list[str]) -> Iterator[str]:
    """What is wrong with how a step says why it failed: its paragraph, or the checks that block what follows."""
    said = failed.user_failure_data.description if failed.user_failure_data else None
    if said is not None and "platform has a fault" not in said:
        return
    error = failed.error
    is_check = error is not None and error.cls_name == "DagsterAssetCheckFailedError"
    if not (is_check and any(line.startswith(BEGINS) for line in told)):
        yield said or (f"{error.cls_name}: {error.message.strip()}" if error else "no error")


@contextmanager
def _instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance
