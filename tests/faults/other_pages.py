"""The kinds of request that a page elsewhere can make a browser send, each in many wordings.

Headers that no page can set, as a foreign `Host`, are what the browser sets for it.
"""

import random
from collections.abc import Callable
from urllib.parse import quote, urlencode

from tests.faults.web import FOREIGN, JSON, PROXY, Deed, Request, Target, handshake

FORM = ("Content-Type", "application/x-www-form-urlencoded")
BOUNDARY = "----sent-by-a-form"

Kind = Callable[[Target, Deed, random.Random], Request]


def _host(target: Target) -> tuple[str, str]:
    return "Host", target.own


def _posted(deed: Deed, headers: list[tuple[str, str]]) -> Request:
    """The deed as the UI sends it, but for the headers."""
    return Request("POST", deed.path, [*headers, JSON], deed.document)


def _get(target: Target, deed: Deed, rng: random.Random) -> Request:
    spaced = deed.query.replace(" ", rng.choice([" ", "\n", "  ", "\t", " # x\n", ","]))
    extra = rng.choice(["", "&operationName=M", "&variables={}", "&query={version}", "&x=1"])
    return Request("GET", f"{deed.path}?query={quote(spaced)}{extra}", [_host(target)])


def _get_hidden(target: Target, deed: Deed, rng: random.Random) -> Request:
    """A mutation beside a query, of which the name chooses."""
    both = f"query Harmless {{ version }} {deed.query}"
    operation = rng.choice(["M", "Harmless", ""])
    return Request("GET", f"{deed.path}?{urlencode({'query': both, 'operationName': operation})}", [_host(target)])


def _subscription(target: Target, deed: Deed, rng: random.Random) -> Request:
    return Request("GET", "/graphql?query=subscription%20%7B%20pipelineRunLogs(runId%3A%22x%22)%7B__typename%7D%7D",
                   [_host(target), ("Accept", rng.choice(["*/*", "application/json"]))])  # fmt: skip


def _other_method(target: Target, deed: Deed, rng: random.Random) -> Request:
    method = rng.choice(["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "QUERY"])
    return Request(method, deed.in_the_address, [_host(target)])


def _overridden(target: Target, deed: Deed, rng: random.Random) -> Request:
    name = rng.choice(["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-Method"])
    return Request("GET", f"{deed.in_the_address}&_method=POST", [_host(target), (name, "POST"), JSON])


def _form(target: Target, deed: Deed, rng: random.Random) -> Request:
    kind = rng.choice([FORM, ("content-type", "APPLICATION/X-WWW-FORM-URLENCODED; charset=utf-8")])
    return Request("POST", deed.in_the_address, [_host(target), kind], urlencode({"query": deed.query}).encode())


def _multipart(target: Target, deed: Deed, rng: random.Random) -> Request:
    name = rng.choice(["query", "operations", "map", "0"])
    part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
    body = part.encode() + deed.document + f"\r\n--{BOUNDARY}--\r\n".encode()
    return Request("POST", deed.in_the_address, [
        _host(target), ("Content-Type", f"multipart/form-data; boundary={BOUNDARY}")], body)  # fmt: skip


def _text(target: Target, deed: Deed, rng: random.Random) -> Request:
    """The three kinds of content that a browser sends without asking, one made to look like JSON."""
    kind = rng.choice([
        "text/plain", "text/plain; charset=utf-8", "text/plain;application/json", "text/plain; a=application/json",
        "multipart/form-data; boundary=application/json", "application/graphql", "application/json, text/plain",
        "application/jsonp", "text/json", "",
    ])  # fmt: skip
    return Request("POST", deed.path, [_host(target), ("Content-Type", kind)], deed.document)


def _without_content(target: Target, deed: Deed, rng: random.Random) -> Request:
    """`fetch` with a POST and no body sends no Content-Type."""
    return Request("POST", deed.in_the_address, [_host(target), ("Content-Length", "0")])


def _foreign_host(target: Target, deed: Deed, rng: random.Random) -> Request:
    """DNS rebinding, and names that look like this machine's."""
    name = rng.choice([
        FOREIGN, f"{FOREIGN}:{target.port}", f"{FOREIGN}.:{target.port}", f"EVIL.example:{target.port}",
        f"localhost.{FOREIGN}", f"127.0.0.1.{FOREIGN}:{target.port}", f"127.0.0.1.nip.io:{target.port}",
        f"0.0.0.0:{target.port}", f"[::]:{target.port}", f"[::ffff:127.0.0.1]:{target.port}", "169.254.169.254",
        f"127.1:{target.port}", f"2130706433:{target.port}", f"0x7f000001:{target.port}", f"0177.0.0.1:{target.port}",
        f"user@localhost:{target.port}", f"localhost:{target.port}@{FOREIGN}", f"localhost:{target.port}/x",
        f"localhost, {FOREIGN}", f"localhost {FOREIGN}", f"x.localhost:{target.port}", "localhost:", "",
        f"localh\u00f6st:{target.port}", f"xn--{FOREIGN}", f"{PROXY}.{FOREIGN}", f"not-{PROXY}",
    ])  # fmt: skip
    return _posted(deed, [("Host", name)])


def _two_hosts(target: Target, deed: Deed, rng: random.Random) -> Request:
    names = [target.own, FOREIGN]
    rng.shuffle(names)
    return _posted(deed, [("Host", name) for name in names])


def _no_host(target: Target, deed: Deed, rng: random.Random) -> Request:
    request = _posted(deed, [])
    request.version = rng.choice(["1.0", "1.1"])
    return request


def _forwarded(target: Target, deed: Deed, rng: random.Random) -> Request:
    name = rng.choice(["X-Forwarded-Host", "X-Host", "Forwarded", "X-Original-Host", "X-Forwarded-Server"])
    value = f"host={target.own}" if name == "Forwarded" else target.own
    return _posted(deed, [("Host", FOREIGN), (name, value)])


def _foreign_origin(target: Target, deed: Deed, rng: random.Random) -> Request:
    """Pages elsewhere, other ports of this machine included: they belong to other programs."""
    page = rng.choice([
        f"http://{FOREIGN}", f"https://{FOREIGN}:{target.port}", f"http://127.0.0.1.{FOREIGN}:{target.port}",
        f"http://127.0.0.1:{target.port + 1}", "http://127.0.0.1", f"http://localhost:{target.port}",
        f"http://127.0.0.2:{target.port}", f"http://{target.own}.{FOREIGN}", f"http://{target.own}@{FOREIGN}",
        f"http://{PROXY}:8080", f"http://{PROXY}.{FOREIGN}", f"https://x.{PROXY}", "file://", "chrome-extension://abc",
        f"ftp://{target.own}", target.own, "", f"http://{target.own} http://{FOREIGN}", f"http://{target.own}/",
    ])  # fmt: skip
    return _posted(deed, [_host(target), ("Origin", page)])


def _null_origin(target: Target, deed: Deed, rng: random.Random) -> Request:
    return _posted(deed, [_host(target), ("Origin", rng.choice(["null", "Null", "NULL"]))])


def _two_origins(target: Target, deed: Deed, rng: random.Random) -> Request:
    pages = [f"http://{target.own}", f"http://{FOREIGN}"]
    rng.shuffle(pages)
    return _posted(deed, [_host(target), *(("Origin", page) for page in pages)])


def _foreign_site(target: Target, deed: Deed, rng: random.Random) -> Request:
    """No Origin, but the browser says that another page asked."""
    site = rng.choice(["cross-site", "same-site", "Cross-Site", "", "something-new"])
    mode = rng.choice(["no-cors", "cors", "navigate"])
    wanted = rng.choice(["empty", "image", "script", "iframe", "document", "object"])
    return _posted(
        deed, [_host(target), ("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", mode), ("Sec-Fetch-Dest", wanted)]
    )


def _navigation(target: Target, deed: Deed, rng: random.Random) -> Request:
    """A link or a frame that leads to what is no page of the UI."""
    wanted = rng.choice(["document", "iframe", "frame", "embed", "object"])
    path = rng.choice([deed.in_the_address, "/graphql?query=%7Bversion%7D", "/notebook?path=x.ipynb", "/logs/a/b/err"])
    site = [("Sec-Fetch-Site", rng.choice(["cross-site", "same-site"])), ("Sec-Fetch-Mode", "navigate")]
    return Request("GET", path, [_host(target), *site, ("Sec-Fetch-Dest", wanted)])


def _framed(target: Target, deed: Deed, rng: random.Random) -> Request:
    """The UI inside another page, which would catch clicks."""
    site = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")]
    return Request(
        "GET", rng.choice(["/", "/runs"]), [_host(target), *site, ("Sec-Fetch-Dest", rng.choice(["iframe", "embed"]))]
    )


def _foreign_socket(target: Target, deed: Deed, rng: random.Random) -> Request:
    return handshake("/graphql", [_host(target), ("Origin", rng.choice([f"http://{FOREIGN}", "null", "file://"]))])


def _rebound_socket(target: Target, deed: Deed, rng: random.Random) -> Request:
    name = f"{FOREIGN}:{target.port}"
    return handshake("/graphql", [("Host", name), ("Origin", f"http://{name}")])


def _preflight(target: Target, deed: Deed, rng: random.Random) -> Request:
    return Request("OPTIONS", deed.path, [
        _host(target), ("Origin", f"http://{FOREIGN}"), ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "content-type")])  # fmt: skip


def _batch(target: Target, deed: Deed, rng: random.Random) -> Request:
    """Several documents at once, as a form would send them."""
    body = b"[" + deed.document + b"]"
    return Request("POST", deed.path, [_host(target), ("Content-Type", rng.choice(["text/plain", FORM[1]]))], body)


def _rebound(target: Target, deed: Deed, rng: random.Random) -> Request:
    """All that a page under a foreign name sends to its own server, once that name leads here."""
    name = f"{FOREIGN}:{target.port}"
    return _posted(deed, [("Host", name), ("Origin", f"http://{name}"), ("Sec-Fetch-Site", "same-origin")])


KINDS: dict[str, Kind] = {
    "GET": _get,
    "GET, a query beside it": _get_hidden,
    "GET of a subscription": _subscription,
    "HEAD, OPTIONS, PUT, DELETE and others": _other_method,
    "GET with a header that overrides the method": _overridden,
    "a form": _form,
    "a form with files": _multipart,
    "JSON as text": _text,
    "POST without content": _without_content,
    "a batch": _batch,
    "a foreign Host": _foreign_host,
    "two Hosts": _two_hosts,
    "no Host": _no_host,
    "X-Forwarded-Host and the like": _forwarded,
    "a name that was led here": _rebound,
    "a foreign Origin": _foreign_origin,
    "Origin: null": _null_origin,
    "two Origins": _two_origins,
    "a foreign Sec-Fetch-Site": _foreign_site,
    "a link or frame to what is no page": _navigation,
    "the UI in a frame": _framed,
    "a preflight": _preflight,
    "a WebSocket of another page": _foreign_socket,
    "a WebSocket of a name that was led here": _rebound_socket,
}
