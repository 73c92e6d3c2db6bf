"""A real browser before the real web server: pages of others change nothing in it, and its own UI works as ever."""

import contextlib
import functools
import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from beatsight_core.settings import load_settings
from beatsight_dagster.instance import prepare_home
from tests.faults.web import FOREIGN, Target, open_target
from tests.ui.conftest import BROWSERS, FLAGS

pytestmark = pytest.mark.ui

PATIENCE_MS = 90_000

ATTACK = """
async ({address, query, path, json}) => {
  const asked = `${address}${path}?query=${encodeURIComponent(query)}`;
  const form = (method, kind) => new Promise(done => {
    const frame = Object.assign(document.createElement("iframe"), {name: "frame" + Math.random(), onload: done});
    document.body.append(frame);
    const words = {action: asked, method, enctype: kind, target: frame.name};
    const made = Object.assign(document.createElement("form"), words);
    for (const [name, value] of [["query", query], [json.slice(0, -1) + ', "x": "', '"}']]) {
      made.append(Object.assign(document.createElement("input"), {name, value}));
    }
    document.body.append(made);
    made.submit();
    setTimeout(done, 3000);
  });
  const element = (name, more) => new Promise(done => {
    document.body.append(Object.assign(document.createElement(name), {onload: done, onerror: done, ...more}));
    setTimeout(done, 3000);
  });
  const socket = () => new Promise(done => {
    const link = new WebSocket(address.replace("http", "ws") + "/graphql", "graphql-ws");
    const order = JSON.stringify({type: "start", id: "1", payload: JSON.parse(json)});
    link.onopen = () => { window.opened = true; link.send(order); };
    link.onclose = link.onerror = done;
    setTimeout(done, 3000);
  });
  const fetched = [
    [asked, {}], [asked, {mode: "no-cors"}], [asked, {mode: "no-cors", method: "HEAD"}],
    [asked, {mode: "no-cors", method: "POST"}],
    [asked, {mode: "no-cors", method: "POST", body: json, headers: {"Content-Type": "text/plain;application/json"}}],
    [asked, {mode: "no-cors", method: "POST", body: new URLSearchParams({query})}],
    [asked, {method: "POST", body: json, headers: {"Content-Type": "application/json"}, credentials: "include"}],
    [asked, {method: "PUT", body: json}], [asked, {method: "POST", headers: {"X-HTTP-Method-Override": "PUT"}}],
  ];
  window.read = [];
  for (const [where, how] of fetched) {
    try { const answer = await fetch(where, how); window.read.push(await answer.text()); } catch (error) {}
  }
  navigator.sendBeacon(asked, json);
  try { navigator.sendBeacon(asked, new Blob([json], {type: "application/json"})); } catch (error) {}
  await form("get", ""); await form("post", "application/x-www-form-urlencoded");
  await form("post", "multipart/form-data"); await form("post", "text/plain");
  await element("img", {src: asked}); await element("script", {src: asked}); await element("iframe", {src: asked});
  await element("link", {rel: "stylesheet", href: asked}); await element("object", {data: asked});
  await socket();
  return {opened: Boolean(window.opened), read: window.read.filter(text => text.length)};
}
"""

JOBS = """
import time
from pathlib import Path

import dagster as dg


@dg.op
def waits(context: dg.OpExecutionContext) -> None:
    while not Path({flag!r}).exists():
        time.sleep(0.1)


@dg.job(executor_def=dg.in_process_executor)
def patient():
    waits()


defs = dg.Definitions(jobs=[patient])
"""


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with open_target() as opened:
        yield opened


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server of others, with an empty page."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "index.html").write_text("<!doctype html><title>elsewhere</title><body></body>")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture(scope="module")
def led_here(browser: Any) -> Iterator[Any]:
    """A browser for which a foreign name leads to this machine, as after DNS rebinding."""
    found = next(path for name in BROWSERS if (path := shutil.which(name)))
    rule = f"--host-resolver-rules=MAP {FOREIGN} 127.0.0.1"
    opened = browser.browser_type.launch(executable_path=found, args=[*FLAGS, rule])
    yield opened
    opened.close()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", FOREIGN])
def test_a_page_elsewhere_changes_nothing_and_reads_nothing(
    led_here: Any, target: Target, elsewhere: int, name: str
) -> None:
    """`localhost` is another site than 127.0.0.1; the same address with another port is the same site."""
    for deed in target.deeds():
        before, page = target.state(), led_here.new_page()
        page.goto(f"http://{name}:{elsewhere}/")
        words = {"address": f"http://{target.own}", "query": deed.query or "x", "path": deed.path}
        got = page.evaluate(ATTACK, {**words, "json": deed.document.decode()})
        page.close()
        assert target.state() == before, deed.name
        assert got == {"opened": False, "read": []}, deed.name


def test_a_page_without_an_origin_changes_nothing(led_here: Any, target: Target, elsewhere: int) -> None:
    before, page = target.state(), led_here.new_page()
    page.goto(f"http://localhost:{elsewhere}/")
    page.evaluate("""() => document.body.append(Object.assign(document.createElement("iframe"),
        {sandbox: "allow-scripts allow-forms", srcdoc: "<!doctype html><body></body>"}))""")
    page.wait_for_function("() => window.frames.length === 1")
    frame = page.frames[1]
    for deed in target.deeds():
        words = {"address": f"http://{target.own}", "query": deed.query or "x", "path": deed.path}
        assert frame.evaluate(ATTACK, {**words, "json": deed.document.decode()}) == {"opened": False, "read": []}
    assert target.state() == before
    page.close()


def test_a_name_that_was_led_here_sees_a_refusal(led_here: Any, target: Target) -> None:
    before, page = target.state(), led_here.new_page()
    answer = page.goto(f"http://{FOREIGN}:{target.port}/runs")
    assert answer.status == 403
    assert "[web] in beatsight.toml" in page.content()
    for deed in target.deeds():
        words = {"address": f"http://{FOREIGN}:{target.port}", "query": deed.query or "x", "path": deed.path}
        assert not page.evaluate(ATTACK, {**words, "json": deed.document.decode()})["opened"]
    assert target.state() == before
    page.close()


def test_a_link_elsewhere_opens_a_page_of_the_ui_and_no_frame_does(
    led_here: Any, target: Target, elsewhere: int
) -> None:
    page = led_here.new_page()
    page.goto(f"http://localhost:{elsewhere}/")
    page.evaluate(
        """address => document.body.append(Object.assign(document.createElement("a"),
        {href: address, textContent: "to the run"}))""",
        f"http://{target.own}/runs",
    )
    with page.expect_navigation():
        page.click("a")
    page.wait_for_function("() => document.title.startsWith('Runs')", timeout=PATIENCE_MS)
    page.goto(f"http://localhost:{elsewhere}/")
    with page.expect_response(re.compile("/runs")) as framed:
        page.evaluate(
            """address => document.body.append(Object.assign(document.createElement("iframe"), {src: address}))""",
            f"http://{target.own}/runs",
        )
    assert framed.value.status == 403
    page.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of a running `beatsight dev` with one job, and the file that its run waits for."""
    settings, flag = load_settings(tmp_path / "data"), tmp_path / "flag"
    home = prepare_home(settings)
    (tmp_path / "jobs.py").write_text(JOBS.format(flag=str(flag)))
    code = [{"python_file": {"relative_path": str(tmp_path / "jobs.py"), "location_name": "jobs"}}]
    (home / "workspace.yaml").write_text(json.dumps({"load_from": code}))
    port = free_port()
    command = [sys.executable, "-P", "-c", "from beatsight_core.cli.main import main; main()", "dev"]
    log = tmp_path / "dev.log"
    with log.open("wb") as lines:
        process = subprocess.Popen(
            [*command, "--port", str(port), "--data-root", str(settings.data_root)],
            cwd=tmp_path, stdout=lines, stderr=lines, env={**os.environ, "BEATSIGHT_DEVICES": ""},
        )  # fmt: skip
    try:
        wait_for(lambda: "The UI is open" in log.read_text() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield f"http://127.0.0.1:{port}", flag
    finally:
        flag.touch()
        process.terminate()
        process.wait(60)


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_ui_launches_a_run_and_shows_it_live(browser: Any, dev: tuple[str, Path], shots: Path) -> None:
    address, flag = dev
    page, received, refused = browser.new_page(), [], []

    def hear(frame: Any) -> None:
        received.append(str(frame))

    page.on("websocket", lambda link: link.on("framereceived", hear))
    page.on("response", lambda answer: refused.append(answer.url) if answer.status == 403 else None)
    page.goto(f"{address}/locations/jobs/jobs/patient/playground", timeout=PATIENCE_MS)
    page.get_by_role("button", name=re.compile("Launch run", re.IGNORECASE)).click(timeout=PATIENCE_MS)
    page.wait_for_url(re.compile("/runs/"), timeout=PATIENCE_MS)
    page.get_by_text("Started", exact=True).first.wait_for(timeout=PATIENCE_MS)
    before = len(received)
    flag.touch()  # the run ends, and the page hears of it by itself
    page.get_by_text("Success", exact=True).first.wait_for(timeout=PATIENCE_MS)
    page.screenshot(path=shots / "run.png")
    assert len(received) > before
    assert any("ExecutionStepSuccessEvent" in frame for frame in received[before:])
    assert refused == []
    with contextlib.suppress(Exception):
        page.close()
