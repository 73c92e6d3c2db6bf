"""Executes a job in this process as Dagster's own command line does: an interrupt cancels the run and its steps."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME as REPOSITORY
from dagster._core.execution.api import execute_run
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin
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
    location: str | None = None,
) -> Iterator[dg.JobExecutionResult]:
    """Execute a job, or some of its assets, and yield the result; failure is in the result, not raised.

    Args:
        job: Job in the form that `job_named` and `dagster.reconstructable` give it.
        instance: Instance of Dagster that other processes can open.
        assets: Keys of the assets to materialize.
        tags: Tags of the run; a partition is a tag.
        run_config: Configuration of the run, as in the launchpad.
        location: Name of the code location below whose job the UI shows the run; without one, below none.
    """
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(location), REPOSITORY) if location else None
    with capture_interrupts():
        run = instance.create_run_for_job(
            job.get_definition(),
            run_config=run_config,
            tags=tags,
            asset_selection=frozenset(dg.AssetKey(asset) for asset in assets) if assets else None,
            remote_job_origin=repository.get_job_origin(job.job_name) if repository else None,
            job_code_origin=job.get_python_origin(),
        )
        with execute_run(job, run, instance, raise_on_error=False) as result:
            yield result
