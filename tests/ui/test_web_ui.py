"""The web UI in a real browser, over a data root whose health gates fail: is it found what failed, and why?"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.ui

PATIENCE_S = 150
SIZES = {"wide": 1440, "phone": 390}


@dataclass(frozen=True)
class Served:
    """A web UI that is up.

    Attributes:
        address: Address of its first page.
        key: Key of the manifest whose gates fail.
    """

    address: str
    key: str


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`beatsight dev` over a tiny corpus that was taken up to its health report from a terminal."""
    root = tmp_path_factory.mktemp("served") / "data"
    environment = {**os.environ, "BEATSIGHT_DEVICES": "", "BEATSIGHT_DATA_ROOT": str(root)}

    def beatsight(*words: str) -> "subprocess.Popen[bytes]":
        program = [sys.executable, "-c", "from beatsight_core.cli.main import main; main()"]
        return subprocess.Popen([*program, *words], env=environment, start_new_session=True)

    assert beatsight("demo", str(root), "--size", "tiny", "--corpus-only").wait(PATIENCE_S) == 0
    manifest, file = next((root / "manifests").glob("*.jsonl")), root / "beatsight.toml"
    # The demo's corpus lacks audio on purpose, and a tiny one lacks too much of it to come to its health gates.
    lenient = "[gates]\nmax_missing_rate = 0.5\nmax_missing_rate_per_source = 0.6\n"
    file.write_text(file.read_text().replace("[gates]\n", lenient))
    assert beatsight("run", manifest.name, "--until", "health").wait(PATIENCE_S) == 1, "the gates did not fail"
    (catalog,) = (root / "catalog").glob(f"{manifest.stem}-*")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    dev = beatsight("dev", "--port", str(port))
    try:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert dev.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield Served(f"http://127.0.0.1:{port}", catalog.name)
    finally:
        dev.send_signal(signal.SIGINT)
        dev.wait(PATIENCE_S)


@pytest.fixture(params=SIZES)
def page(request: pytest.FixtureRequest, browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": SIZES[request.param], "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(60_000)
    opened.size = request.param
    yield opened
    context.close()


def test_from_the_first_page_to_what_failed_and_what_to_do(served: Served, page: Any, shots: Path) -> None:
    page.goto(served.address)
    page.get_by_text("judge_data").first.wait_for()  # the run from the terminal belongs to a job
    page.screenshot(path=shots / f"home-{page.size}.png")
    page.get_by_role("link", name="BeatSight reports").click()
    page.get_by_role("heading", name=served.key).wait_for()
    assert page.get_by_text("failed", exact=True).first.is_visible()
    assert "beatsight" in page.locator("code").first.inner_text()
    page.screenshot(path=shots / f"index-{page.size}.png", full_page=True)
    page.get_by_role("row", name="health").get_by_role("link", name="report").click()
    page.get_by_role("heading", name="Corpus health").wait_for()
    page.get_by_role("link", name="All reports").click()
    page.get_by_role("heading", name="Reports").wait_for()


def test_the_asset_shows_its_verdict_first_and_opens_its_report(served: Served, page: Any, shots: Path) -> None:
    page.goto(f"{served.address}/assets/dataset_health?view=partitions&partition={served.key}")
    report = page.locator('a[href^="/reports/health/"]').first
    report.wait_for(state="attached")
    names = ("verdict", "report", "failed gates", "picture")
    rows = [page.get_by_role("cell", name=name, exact=True).first.bounding_box() for name in names]
    assert [row["y"] for row in rows] == sorted({row["y"] for row in rows})
    assert page.get_by_text("FAILED:").first.is_visible()
    page.screenshot(path=shots / f"asset-{page.size}.png")
    if page.size == "phone":  # Dagster's page is wider than a phone, and lays its own bar over the link
        page.goto(f"{served.address}{report.get_attribute('href')}")
        page.get_by_role("heading", name="Corpus health").wait_for()
        return
    with page.context.expect_page() as opened:
        report.click()
    opened.value.get_by_role("heading", name="Corpus health").wait_for()


def test_the_graph_and_the_checks_are_there(served: Served, page: Any, shots: Path) -> None:
    page.goto(f"{served.address}/assets/dataset_health?view=checks")
    page.get_by_text("counts").first.wait_for()
    page.screenshot(path=shots / f"checks-{page.size}.png")
    page.goto(f"{served.address}/asset-groups")
    page.get_by_text("dataset_health").first.wait_for()
    page.screenshot(path=shots / f"graph-{page.size}.png")
