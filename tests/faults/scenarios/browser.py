"""What another web page can make a browser send to the web server: nothing changes, and the UI's own requests pass.

The server is the real one, the requests are bytes on a real socket. Each kind is tried with each deed that Dagster's
server takes; a deed that is sent as the UI or a program sends it works, so that a refusal means something.
"""

import json
import random
from collections.abc import Iterator

from tests.faults.lab import Lab, Tally
from tests.faults.other_pages import KINDS, Kind
from tests.faults.web import JSON, PROXY, Request, Target, handshake, open_target

PLACE, WHOLE, SHORT = 9, 20, 1


def run(lab: Lab, rounds: int, rng: random.Random) -> Iterator[Tally]:
    """Send every kind with every deed, in other words each round."""
    with open_target() as target:
        yield _legitimate(target)
        for name, kind in KINDS.items():
            tally = Tally(f"sent by another page: {name}")
            for _ in range(rounds):
                _try(target, tally, kind, rng)
            yield tally
        yield _mutation_over_a_socket(target)


def _try(target: Target, tally: Tally, kind: Kind, rng: random.Random) -> None:
    """Send a kind with every deed, and look once whether anything changed."""
    deeds = target.deeds()
    before, sent = target.state(), []
    for deed in deeds:
        request = kind(target, deed, rng)
        status = target.send(request)
        sent.append(f"{deed.name}, answered {status}: {request}")
        tally.tried += 1
        tally.count(f"answered {status}")
        a_page = status == 200 and request.method in ("GET", "HEAD") and not deed.query
        tally.expect(a_page or status in (0, 400, 403, 405), sent[-1])
    tally.expect(target.state() == before, f"the state changed by one of: {'; '.join(sent)}")


def _legitimate(target: Target) -> Tally:
    """What the UI, its links and programs send."""
    tally = Tally("sent by the UI, a link or a program")
    own, host = ("Origin", f"http://{target.own}"), ("Host", target.own)
    same = [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Dest", "empty")]
    link = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")]
    ask = b'{"query": "{ version }"}'
    reads = {
        "page": Request("GET", "/runs/abc", [host]),
        "page, typed": Request("GET", "/", [host, ("Sec-Fetch-Site", "none"), ("Sec-Fetch-Mode", "navigate")]),
        "page, by a link in a mail": Request("GET", "/runs/abc", [host, *link]),
        "picture": Request("GET", "/favicon.png", [host, ("Sec-Fetch-Site", "same-origin")]),
        "query": Request("POST", "/graphql", [host, own, *same, JSON], ask),
        "query with a charset": Request("POST", "/graphql", [host, (JSON[0], "application/json;charset=UTF-8")], ask),
        "query by a program": Request("POST", "/graphql", [host, JSON], ask),
        "query in the address": Request("GET", "/graphql?query=%7Bversion%7D", [host]),
        "GraphiQL": Request("GET", "/graphql", [host, ("Accept", "text/html")]),
        "in capitals": Request("GET", "/server_info", [("host", f"LocalHost:{target.port}")]),
        "by IPv6, through a tunnel": Request("GET", "/server_info", [("Host", "[::1]:8000")]),
        "through a tunnel on another port": Request("POST", "/graphql", [
            ("Host", "localhost:8000"), ("Origin", "http://localhost:8000"), JSON], ask),
        "through a proxy that keeps Host": Request("POST", "/graphql", [
            ("Host", PROXY), ("Origin", f"https://{PROXY}"), JSON], ask),
        "through a proxy that does not": Request("POST", "/graphql", [host, ("Origin", f"https://{PROXY}"), JSON], ask),
    }  # fmt: skip
    for name, request in reads.items():
        tally.tried += 1
        status = target.send(request)
        tally.expect(status == 200, f"{name}: answer {status}")
    for name, headers in {"with": [host, own], "without": [host]}.items():
        tally.tried += 1
        status = target.send(handshake("/graphql", headers))
        tally.expect(status == 101, f"WebSocket {name} Origin: answer {status}")
    for deed in target.deeds():
        before = target.state()
        status = target.send(Request("POST", deed.path, [host, own, *same, JSON], deed.document))
        tally.tried += 1
        tally.expect(status == 200 and target.state() != before, f"{deed.name}: answer {status}, or nothing changed")
    return tally


def _mutation_over_a_socket(target: Target) -> Tally:
    """A page of the server's own may open a WebSocket; even there only subscriptions are carried out."""
    from websockets.sync.client import connect

    tally = Tally("sent over a WebSocket of an own page: mutations")
    for deed in target.deeds():
        if not deed.query:
            continue
        before = target.state()
        with connect(f"ws://{target.own}/graphql", subprotocols=["graphql-ws"], proxy=None) as link:  # type: ignore[list-item]
            link.send('{"type": "connection_init"}')
            link.recv(timeout=20)
            link.send(json.dumps({"type": "start", "id": "1", "payload": {"query": deed.query}}))
            answer = str(link.recv(timeout=20))
        tally.tried += 1
        tally.expect('"error"' in answer, f"{deed.name}: {answer[:200]}")
        tally.expect(target.state() == before, f"{deed.name}: the state changed")
    return tally
