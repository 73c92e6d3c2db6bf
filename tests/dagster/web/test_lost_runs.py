"""Runs whose code server was killed are closed when the platform starts again; no others are touched."""

import json
import socket
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.tags import GRPC_INFO_TAG

from beatsight_dagster.web.lost_runs import close_lost_runs


@dg.job
def nothing() -> None:
    """Nothing."""


def run_on(instance: dg.DagsterInstance, status: dg.DagsterRunStatus, server: dict[str, str | int] | None) -> str:
    tags = {} if server is None else {GRPC_INFO_TAG: json.dumps(server)}
    return instance.create_run_for_job(nothing, status=status, tags=tags).run_id


@pytest.mark.parametrize(
    ("before", "after"),
    [("STARTING", "FAILURE"), ("STARTED", "FAILURE"), ("CANCELING", "CANCELED"), ("SUCCESS", "SUCCESS")],
)
def test_a_run_of_a_server_that_is_gone_is_closed(before: str, after: str, tmp_path: Path) -> None:
    left = tmp_path / "left"
    with socket.socket(socket.AF_UNIX) as killed:  # a socket's file stays when its server is killed
        killed.bind(str(left))
    places: list[dict[str, str | int]] = [
        {"host": "localhost", "socket": str(tmp_path / "gone")}, {"host": "localhost", "socket": str(left)}, {"x": "y"},
    ]  # fmt: skip
    with dg.DagsterInstance.ephemeral() as instance:
        ids = [run_on(instance, dg.DagsterRunStatus[before], place) for place in places]
        assert close_lost_runs(instance) == (0 if before == after else len(ids))
        runs = [instance.get_run_by_id(run_id) for run_id in ids]
        assert [run.status.value for run in runs if run is not None] == [after] * len(ids)


def test_what_a_server_answers_for_or_nobody_knows_stays() -> None:
    from dagster._grpc.server import GrpcServerProcess

    with dg.DagsterInstance.ephemeral() as instance, GrpcServerProcess(None, wait_on_exit=True) as server:
        alive = run_on(instance, dg.DagsterRunStatus.STARTED, {"host": "localhost", "socket": str(server.socket)})
        elsewhere = run_on(instance, dg.DagsterRunStatus.STARTED, None)  # of `beatsight_dagster.materialize`
        assert close_lost_runs(instance) == 0
        assert {run.run_id for run in instance.get_runs() if not run.is_finished} == {alive, elsewhere}
