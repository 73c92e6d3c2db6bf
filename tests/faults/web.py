"""A real web server as `beatsight dev` has it, on an instance with something to lose, and raw requests to it."""

import base64
import contextlib
import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

FOREIGN = "evil.example"
PROXY = "drums.example.org"
"""Name that the server is allowed to be called by, as one of a reverse proxy."""
JSON = ("Content-Type", "application/json")


@dataclass
class Request:
    """What is sent, byte for byte.

    Attributes:
        method: Word of the first line.
        path: Path with its query.
        headers: Lines of the head, in order; `Host` is one of them.
        body: What follows.
        version: Of HTTP.
    """

    method: str
    path: str
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    version: str = "1.1"

    def to_bytes(self) -> bytes:
        """The whole request."""
        lines = [
            f"{self.method} {self.path} HTTP/{self.version}",
            *(f"{name}: {value}" for name, value in self.headers),
        ]
        if self.body:
            lines.append(f"Content-Length: {len(self.body)}")
        if not any(name.lower() == "connection" for name, _ in self.headers):
            lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


@dataclass(frozen=True)
class Deed:
    """Something that changes the state, in the forms in which Dagster takes it.

    Attributes:
        name: In reports.
        query: GraphQL document; empty for a path that reports something.
        path: Path that is posted to.
    """

    name: str
    query: str = ""
    path: str = "/graphql"

    @property
    def document(self) -> bytes:
        """The body as JSON."""
        return json.dumps({"query": self.query} if self.query else {"description": "x"}).encode()

    @property
    def in_the_address(self) -> str:
        """The path with the document in its query."""
        return f"{self.path}?{urlencode({'query': self.query})}" if self.query else f"{self.path}?description=x"


class Target:
    """The server, and what it could lose.

    Args:
        instance: Dagster's instance.
        application: What is served.
        port: Port on 127.0.0.1.
    """

    def __init__(self, instance: Any, application: Any, port: int):
        self.instance, self.application, self.port = instance, application, port

    @property
    def own(self) -> str:
        """The address that its own pages come from, without the scheme."""
        return f"127.0.0.1:{self.port}"

    def state(self) -> Any:
        """Everything that a request may change: runs and their states, events, assets."""
        return (
            [(run.run_id, run.status.value) for run in self.instance.get_runs()],
            sorted(key.to_user_string() for key in self.instance.all_asset_keys()),
            self.instance.event_log_storage.get_maximum_record_id(),
        )

    def deeds(self) -> list[Deed]:
        """What somebody could want to do from afar."""
        runs = self.instance.get_runs(limit=1) or [self.instance.create_run_for_job(run_to_lose())]
        reported = '{eventType: ASSET_MATERIALIZATION, assetKey: {path: ["dataset"]}}'
        return [
            Deed("delete a run", f'mutation {{ deleteRun(runId: "{runs[0].run_id}") {{ __typename }} }}'),
            Deed("wipe an asset", 'mutation { wipeAssets(assetPartitionRanges: [{assetKey: {path: ["kept"]}}]) '
                 "{ __typename } }"),
            Deed("report by GraphQL",
                 f"mutation M {{ reportRunlessAssetEvents(eventParams: {reported}) {{ __typename }} }}"),
            Deed("report an asset", path="/report_asset_materialization/dataset"),
            Deed("report an observation", path="/report_asset_observation/dataset"),
        ]  # fmt: skip

    def send(self, request: Request) -> int:
        """Send it, and give the status of the answer; 0 if the connection was closed without one."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as link:
            link.sendall(request.to_bytes())
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                while b"\r\n" not in answer and (more := link.recv(4096)):
                    answer += more
        words = answer.split(b" ", 2)
        return int(words[1]) if len(words) > 1 else 0


def handshake(path: str, headers: Sequence[tuple[str, str]]) -> Request:
    """The request that opens a WebSocket."""
    key = base64.b64encode(os.urandom(16)).decode()
    return Request("GET", path, [
        *headers, ("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", key), ("Sec-WebSocket-Protocol", "graphql-ws"),
    ])  # fmt: skip


def run_to_lose() -> Any:
    """A job whose runs somebody may want to delete."""
    import dagster as dg

    @dg.job
    def nothing() -> None:
        """Nothing."""

    return nothing


@contextmanager
def open_target() -> Iterator[Target]:
    """Serve Dagster's application behind the guard, in a thread."""
    import dagster as dg
    import uvicorn
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import EmptyWorkspaceTarget

    from beatsight_dagster.web.server import guarded_application

    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="beatsight-web-"))
        instance = stack.enter_context(dg.DagsterInstance.local_temp(folder))
        instance.report_runless_asset_event(dg.AssetMaterialization("kept"))
        process = stack.enter_context(WorkspaceProcessContext(instance, EmptyWorkspaceTarget()))
        application: Any = guarded_application(process, [PROXY])
        server = uvicorn.Server(uvicorn.Config(application, host="127.0.0.1", port=0, log_level="critical"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        stack.callback(thread.join)
        stack.callback(setattr, server, "should_exit", True)
        while not server.started:
            time.sleep(0.01)
        yield Target(instance, application, server.servers[0].sockets[0].getsockname()[1])
