"""Executes a job in this process as Dagster's own command line does: an interrupt cancels the run and its steps."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._utils.interrupts import capture_interrupts

DEFINITIONS = "beatsight_dagster.definitions"


def job_named(name: str) -> ReconstructableJob:
    """Return a job of the definitions in a form that step processes find again.

    Args:
        name: Name of the job; a run may take some of its assets.
    """
    repository = ReconstructableRepository.for_module(DEFINITIONS, "defs")  # without a folder to import it from
    return repository.get_reconstructable_job(name)


@contextmanager
def run_here(
    job: ReconstructableJob,
    instance: dg.DagsterInstance,
    *,
    assets: Sequence[str] | None = None,
    tags: Mapping[str, str] | None = None,
    run_config: Mapping[str, Any] | None = None,
) -> Iterator[dg.JobExecutionResult]:
    """Execute a job, or some of its assets, and yield the result; failure is in the result, not raised.

    Args:
        job: Job in the form that `job_named` and `dagster.reconstructable` give it.
        instance: Instance of Dagster that other processes can open.
        assets: Keys of the assets to materialize.
        tags: Tags of the run; a partition is a tag.
        run_config: Configuration of the run, as in the launchpad.
    """
    with (
        capture_interrupts(),
        dg.execute_job(
            job,
            instance=instance,
            asset_selection=[dg.AssetKey(asset) for asset in assets] if assets else None,
            tags=dict(tags or {}),
            run_config=dict(run_config or {}),
            raise_on_error=False,
        ) as result,
    ):
        yield result
