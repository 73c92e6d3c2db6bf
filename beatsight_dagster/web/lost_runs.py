"""Runs that nobody carries out any more, because what carried them out was killed: they are closed as failed.

Without that they would count as running for ever, and keep the places of runs that wait.
"""

import json
from pathlib import Path

import dagster as dg
from dagster._check import CheckError
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._grpc.client import DagsterGrpcClient

_UNDER_WAY = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def close_lost_runs(instance: dg.DagsterInstance) -> int:
    """Close runs whose code server is gone, which the daemon then starts once more as `dagster.yaml` says.

    Args:
        instance: Instance whose runs are looked at; no process may be starting runs of it.

    Returns:
        How many there were.
    """
    closed = 0
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=_UNDER_WAY)):
        if GRPC_INFO_TAG not in run.tags or _answers(run.tags[GRPC_INFO_TAG]):
            continue
        if run.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, message="What carried out this run was killed.")
        else:
            instance.report_run_failed(run, message="What carried out this run was killed.")
        closed += 1
    return closed


def _answers(server: str) -> bool:
    """Whether the code server that a run's tag names is there."""
    try:
        place = json.loads(server)
        if "socket" in place and not Path(place["socket"]).exists():
            return False
        DagsterGrpcClient(host=place.get("host"), port=place.get("port"), socket=place.get("socket")).ping("")
    except (DagsterUserCodeUnreachableError, ValueError, TypeError, CheckError):
        return False  # what cannot be asked does not answer
    return True
