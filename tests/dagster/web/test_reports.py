"""Reports beside Dagster's own pages: what is answered, how, and what is passed on."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from beatsight_core.errors import SettingsError
from beatsight_core.settings import Settings, load_settings
from beatsight_dagster.web.reports import Reports
from tests.faults.web import Request, open_target

Asked = tuple[int, dict[str, str], str]


async def dagster(scope: Any, receive: Any, send: Any) -> None:
    page = scope["path"] == "/runs"
    body = b"<html><body>Dagster</body></html>" if page else b"Dagster </body>"
    kind = b"text/html; charset=utf-8" if page else b"application/json"
    length = str(len(body)).encode()
    headers = [(b"content-type", kind), (b"content-length", length)]
    await send({"type": "http.response.start", "status": 299, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def ask(load: Callable[[], Settings], path: str, method: str = "GET") -> Asked:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()  # the browser keeps the connection open
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": [(b"host", b"localhost")],
             "scheme": "http", "server": ("localhost", 80)}  # fmt: skip
    asyncio.run(Reports(dagster, load)(scope, receive, send))
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent).decode()


@pytest.fixture
def load(tmp_path: Path) -> Callable[[], Settings]:
    folder = tmp_path / "reports" / "health" / "kits-1a2b3c4d"
    folder.mkdir(parents=True)
    (folder / "report.html").write_text("<html><body><p>sound</p></body></html>")
    (folder / "report.json").write_text('{"passed": true}')
    (tmp_path / "beatsight.toml").write_text("[web]\n")
    return lambda: load_settings(tmp_path)


def test_a_report_is_shown_with_links_and_lets_nothing_run(load: Callable[[], Settings]) -> None:
    status, headers, body = ask(load, "/reports/health/kits-1a2b3c4d/report.html")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<p>sound</p>" in body
    assert '<a href="/reports/">All reports</a>' in body
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "form-action 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    status, headers, body = ask(load, "/reports/health/kits-1a2b3c4d/report.json")
    assert (status, headers["content-type"], body) == (200, "application/json", '{"passed": true}')


def test_the_index_is_made_at_each_request(load: Callable[[], Settings]) -> None:
    status, _, body = ask(load, "/reports/")
    assert status == 200
    assert "No manifest was read yet" in body
    status, headers, _ = ask(load, "/reports")
    assert (status, headers["location"]) == (307, "/reports/")


@pytest.mark.parametrize("path", ["/", "/graphql", "/reportsx", "/runs/reports/", "/report_asset_check/x"])
def test_all_else_is_dagsters(load: Callable[[], Settings], path: str) -> None:
    assert ask(load, path)[::2] == (299, "Dagster </body>")


def test_pages_of_dagster_lead_to_the_reports(load: Callable[[], Settings]) -> None:
    status, headers, body = ask(load, "/runs")
    assert status == 299
    assert body.startswith("<html><body>Dagster")
    assert 'href="/reports/"' in body
    assert int(headers["content-length"]) == len(body)


@pytest.mark.parametrize("path", ["/reports/../beatsight.toml", "/reports/health/../../beatsight.toml", "/reports/x/y"])
def test_what_is_no_report_is_not_found_and_the_way_back_is_shown(load: Callable[[], Settings], path: str) -> None:
    status, _, body = ask(load, path)
    assert status == 404
    assert 'href="/reports/"' in body
    assert "[web]" not in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_reports_are_only_read(load: Callable[[], Settings], method: str) -> None:
    assert ask(load, "/reports/health/kits-1a2b3c4d/report.html", method)[0] == 405


def test_settings_that_are_wrong_are_told() -> None:
    def wrong() -> Settings:
        raise SettingsError("Settings are wrong: there is no setting x")

    status, _, body = ask(wrong, "/reports/")
    assert status == 500
    assert "there is no setting x" in body


def test_the_guard_stands_before_reports_too() -> None:
    with open_target() as target:
        assert target.send(Request("GET", "/reports/", [("Host", target.own)])) == 200
        assert target.send(Request("GET", "/", [("Host", target.own)])) == 200
        assert target.send(Request("GET", "/reports/", [("Host", "evil.example")])) == 403
        elsewhere = [("Host", target.own), ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors")]
        assert target.send(Request("GET", "/reports/", elsewhere)) == 403
