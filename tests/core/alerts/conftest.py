"""Receivers that are really there: a web server, a mail server, settings that name them."""

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from beatsight_core.alerts.alert import Alert
from beatsight_core.settings import Settings, load_settings


@dataclass
class Web:
    """A web server: what it was sent, and how it answers."""

    url: str = ""
    code: int = 204
    location: str | None = None
    received: list[tuple[str, dict[str, object]]] = field(default_factory=list)


@pytest.fixture
def serve_web() -> Iterator[Callable[[], Web]]:
    servers: list[ThreadingHTTPServer] = []

    def start() -> Web:
        web = Web()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                web.received.append((self.path, json.loads(body)))
                self.send_response(web.code)
                if web.location:
                    self.send_header("Location", web.location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST  # noqa: N815 - the name that http.server calls

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        web.url = f"http://127.0.0.1:{server.server_port}"
        return web

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def web(serve_web) -> Web:
    return serve_web()


@pytest.fixture
def dead() -> Iterator[str]:
    """The address of a server that takes a connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/hook"


@dataclass
class Mails:
    """A mail server: its port, who logged in with what, the mails it got."""

    port: int
    logins: list[str] = field(default_factory=list)
    mails: list[str] = field(default_factory=list)


@pytest.fixture
def mails() -> Iterator[Mails]:
    """A mail server of a few lines, with a login."""
    loop, found = asyncio.new_event_loop(), Mails(0)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while line := (await reader.readline()).decode().strip():
            word = line.partition(" ")[0].upper()
            if word == "EHLO":
                writer.write(b"250-here\r\n250 AUTH PLAIN\r\n")
            elif word == "AUTH":
                found.logins.append(line)
                writer.write(b"235 welcome\r\n")
            elif word == "DATA":
                writer.write(b"354 go on\r\n")
                found.mails.append((await reader.readuntil(b"\r\n.\r\n")).decode())
                writer.write(b"250 taken\r\n")
            elif word == "QUIT":
                writer.write(b"221 bye\r\n")
                break
            else:
                writer.write(b"250 fine\r\n")
        writer.close()

    server = loop.run_until_complete(asyncio.start_server(talk, "127.0.0.1", 0))
    found.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield found
    loop.call_soon_threadsafe(server.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def receivers(data_root: Path) -> Callable[[str], Settings]:
    """Write tables of `beatsight.toml`, and load the settings."""

    def write(text: str) -> Settings:
        (data_root / "beatsight.toml").write_text(text)
        return load_settings(data_root)

    return write


def alert(subject: str = "prepare_data of m-12345678", kind: str = "run_failed", what: str = "It failed.") -> Alert:
    return Alert(kind, subject, what, "Mend it", 1_000_000.0)  # type: ignore[arg-type]


@pytest.fixture
def some_alert() -> Callable[..., Alert]:
    return alert
