"""The guard before the web server: which names it answers to, whose pages may use it, and what each path may do."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from beatsight_dagster.web.guard import Guard
from beatsight_dagster.web.hosts import Authority, Hosts
from beatsight_dagster.web.requests import NOT_PAGES, only_reads
from tests.faults.web import JSON, Request, Target, open_target

PAGES = {"/", "/{path:path}", "/index.html", "/404.html"}
READ_BY_ANYBODY = {"/server_info", "/dagit_info"}
"""Version numbers."""
STATIC = {
    "/csp-header.txt", "/favicon-run-success.svg", "/favicon.png", "/favicon.ico", "/favicon.svg", "/manifest.json",
    "/favicon-run-pending.svg", "/favicon-run-failed.svg", "/robots.txt", "/Dagster_world.mp4", "/vendor", "/_next",
}  # fmt: skip


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with open_target() as opened:
        yield opened


def asked(application: Any, scope: dict[str, Any]) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of the answer to a connection."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(application(scope, receive, send))
    headers = {name.decode(): value.decode() for name, value in sent[0].get("headers", [])}
    body = b"".join(message.get("body", b"") for message in sent).decode()
    return sent[0].get("status", 0), headers, body


def scope(method: str = "GET", path: str = "/", kind: str = "http", **headers: str) -> dict[str, Any]:
    raw = [
        (name.replace("_", "-").encode(), value.encode()) for name, value in {"host": "localhost", **headers}.items()
    ]
    return {"type": kind, "method": method, "path": path, "query_string": b"", "headers": raw}


async def answers(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """A server that is content with everything."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"done"})


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:3000", "localhost.:3000", "127.0.0.1", "127.9.8.7:1", "[::1]:3"]
)
def test_this_machine_is_answered_under_each_of_its_names(host: str) -> None:
    assert Hosts().answers_to(host)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "0.0.0.0:3000", "[::]", "[::ffff:127.0.0.1]",
        "127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "127.0.0.01", "128.0.0.1", "a@localhost", "localhost:",
        "localhost:x", "localhost:123456", "localhost/", "localhost,evil", "local host", "", ".", "..", "[::1", "::1",
        "localho\u0455t", "xn--localhot-c5a", "x.localhost", "localhost..",
    ],
)  # fmt: skip
def test_other_names_are_not(host: str) -> None:
    assert not Hosts().answers_to(host)


def test_a_listed_name_is_answered_and_no_other_like_it() -> None:
    hosts = Hosts(["Drums.Example.org", "lab.example.org:8443"])
    assert hosts.answers_to("drums.example.org")
    assert hosts.answers_to("drums.example.org.:3000")
    assert hosts.answers_to("lab.example.org:8443")
    assert not any(map(hosts.answers_to, ["x.drums.example.org", "drums.example.org.evil.example", "example.org"]))
    assert not Hosts(["*", "http://a.example", ""]).answers_to("a.example")


@pytest.mark.parametrize(
    ("origin", "host", "own"),
    [
        ("http://localhost:3000", "localhost:3000", True),
        ("HTTP://LOCALHOST:3000", "localhost:3000", True),
        ("http://localhost", "localhost:80", True),
        ("https://localhost", "localhost", True),
        ("http://localhost:3001", "localhost:3000", False),  # another program of this machine
        ("http://127.0.0.1:3000", "localhost:3000", False),
        ("http://localhost", "localhost:3000", False),
        ("https://drums.example.org", "127.0.0.1:3000", True),  # a proxy that puts its own Host
        ("https://drums.example.org:443", "127.0.0.1:3000", True),
        ("https://drums.example.org:8443", "127.0.0.1:3000", False),  # another program of that machine
        ("https://lab.example.org:8443", "127.0.0.1:3000", True),
        ("https://lab.example.org", "127.0.0.1:3000", False),
        ("null", "localhost:3000", False),
        ("", "localhost:3000", False),
        ("file://", "localhost:3000", False),
        ("localhost:3000", "localhost:3000", False),
        ("ws://localhost:3000", "localhost:3000", False),
        ("http://localhost:3000/", "localhost:3000", False),
        ("http://evil.example@localhost:3000", "localhost:3000", False),
    ],
)
def test_a_page_is_its_own_only_under_the_very_address(origin: str, host: str, own: bool) -> None:
    assert Hosts(["drums.example.org", "lab.example.org:8443"]).owns(origin, host) is own


def test_an_address_is_read_exactly() -> None:
    assert Authority.parse("[::1]:3000") == Authority("[::1]", 3000)
    assert Authority.parse("a.example") == Authority("a.example")
    assert Authority.parse("a.example\n") is None


@pytest.mark.parametrize(
    "document",
    [
        "mutation { x }", "mutation M { x }", "query Q { version } mutation M { x }", "subscription { x }", "", "{",
        "# only a remark", "{version} fragment F on Mutation { x } mutation { ...F }", "\ufeffmutation{x}",
        ",,,mutation,{x}", "{" * 20_000,
    ],
)  # fmt: skip
def test_a_document_that_may_do_something_does_not_only_read(document: str) -> None:
    assert not only_reads(document)


@pytest.mark.parametrize("document", ["{ version }", "query Q { version }", '{ a(b: "mutation { x }") } # mutation'])
def test_queries_only_read_whatever_words_are_in_them(document: str) -> None:
    assert only_reads(document)


def test_what_is_let_through_may_not_be_shown_by_others() -> None:
    status, headers, body = asked(Guard(answers), scope())
    assert (status, body) == (200, "done")
    assert headers["x-frame-options"] == "SAMEORIGIN"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "content-security-policy" not in headers
    assert asked(Guard(answers), scope(path="/notebook"))[1]["content-security-policy"] == "sandbox"


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (scope(host="evil.example"), "add its name to `hosts` under [web] in beatsight.toml"),
        (scope(origin="https://evil.example"), "if that is your reverse proxy"),
        (scope(sec_fetch_site="cross-site"), "copy the address into the browser"),
        (scope("POST", "/graphql"), "Content-Type: application/json"),
        (scope("DELETE", "/graphql"), "as a POST"),
        ({**scope(path="/graphql"), "query_string": b"query=mutation{x}"}, "as a POST"),
        ({**scope(path="/graphql"), "query_string": b"query={version}&query=mutation{x}"}, "as a POST"),
        ({**scope(path="/graphql/"), "query_string": b"%71uery=mutation{x}"}, "as a POST"),
    ],
)
def test_a_refusal_is_a_sentence_that_says_what_to_do(request_: dict[str, Any], said: str) -> None:
    status, headers, body = asked(Guard(answers), request_)
    assert status == 403
    assert said in body
    assert body.endswith(".\n")
    assert headers["content-type"].startswith("text/plain")
    assert int(headers["content-length"]) == len(body)


def test_a_refusal_repeats_nothing_that_a_page_or_terminal_would_act_on() -> None:
    body = asked(Guard(answers), scope(host="<b>\x1b[31m\u202e", origin="x"))[2]
    assert "\x1b" not in body
    assert body.isascii()


def test_a_socket_is_refused_before_it_opens() -> None:
    foreign = scope("GET", "/graphql", "websocket", origin="http://evil.example")
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(Guard(answers)(foreign, None, send))
    assert [message["type"] for message in sent] == ["websocket.close"]
    assert asked(Guard(answers), {**foreign, "extensions": {"websocket.http.response": {}}})[0] == 403


def test_the_servers_own_start_and_end_pass() -> None:
    seen = []

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    asyncio.run(Guard(application)({"type": "lifespan"}, None, None))
    assert seen == ["lifespan"]


def test_for_every_path_of_dagster_it_is_decided_what_others_may_do(target: Target) -> None:
    """If this fails, Dagster has a new path. Decide whether a link may open it (else: NOT_PAGES), and list it here."""
    undecided = []
    for route in target.application._application._application.routes:
        decided = PAGES | READ_BY_ANYBODY | STATIC
        if route.path not in decided and not route.path.startswith(NOT_PAGES):
            undecided.append(route.path)
        if "POST" in (getattr(route, "methods", None) or ()):
            assert route.path.startswith(NOT_PAGES), f"{route.path} takes what changes something"
    assert not undecided


@pytest.mark.parametrize("path", NOT_PAGES)
def test_a_link_elsewhere_opens_pages_and_nothing_else(path: str) -> None:
    link = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert asked(Guard(answers), scope(path="/runs/abc", **link))[0] == 200
    assert asked(Guard(answers), scope(path=f"{path}/x", **link))[0] == 403
    assert asked(Guard(answers), scope(path="/runs/abc", **{**link, "sec_fetch_dest": "iframe"}))[0] == 403
    assert asked(Guard(answers), scope("HEAD", "/runs/abc", **link))[0] == 403


def test_on_the_real_server_the_uis_own_request_changes_something(target: Target) -> None:
    deed, before = target.deeds()[0], target.state()
    own = [("Host", target.own), ("Origin", f"http://{target.own}"), ("Sec-Fetch-Site", "same-origin"), JSON]
    assert target.send(Request("POST", deed.path, own, deed.document)) == 200
    assert target.state() != before
