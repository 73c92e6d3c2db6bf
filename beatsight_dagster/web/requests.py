"""The rules by which a request is let through or refused; each refusal is a sentence that says what to do.

    Host              one of this server's names, exactly once
    Origin            absent, or of this server's own pages
    Sec-Fetch-Site    same-origin or none; from elsewhere only a link that opens a page of the UI
    POST              Content-Type is application/json, which no form of another page can send
    GET, HEAD         reads: a GraphQL document in the address may hold queries only

Programs that are no browsers send neither Origin nor Sec-Fetch-Site, and pass.
"""

from collections.abc import Mapping, Sequence
from typing import TypedDict
from urllib.parse import parse_qsl

from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse

from beatsight_dagster.web.hosts import Hosts

GRAPHQL = "/graphql"

NOT_PAGES = (
    GRAPHQL, "/report_asset_materialization", "/report_asset_check", "/report_asset_observation",
    "/logs", "/download_debug", "/notebook", "/dagit/notebook",
)  # fmt: skip
"""Beginnings of paths that a link on another page must not open: they answer programs, or show content of files."""

_ALLOW = "add its name to `hosts` under [web] in beatsight.toml, or to BEATSIGHT_WEB_HOSTS"
_OWN_WINDOW = "copy the address into the browser instead"

Headers = Mapping[str, Sequence[str]]


class Scope(TypedDict):
    """What a server is told of a request (ASGI), as far as the rules look at it; `method` is of HTTP alone."""

    type: str
    method: str
    path: str
    query_string: bytes
    headers: Sequence[tuple[bytes, bytes]]


def refusal(scope: Scope, hosts: Hosts) -> str | None:
    """Say why a request is not let through; None if it is.

    Args:
        scope: ASGI scope of an HTTP request or a WebSocket handshake.
        hosts: Names of this server.
    """
    headers = headers_of(scope)
    return (
        _wrong_host(headers, hosts)
        or _wrong_origin(headers, hosts)
        or _wrong_site(scope, headers)
        or (_wrong_content(scope, headers) if scope["type"] == "http" else None)
    )


def headers_of(scope: Scope) -> Headers:
    """Return all values of each header, by its name in lower case."""
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1").strip())
    return found


def _wrong_host(headers: Headers, hosts: Hosts) -> str | None:
    values = headers.get("host", ())
    if len(values) == 1 and hosts.answers_to(values[0]):
        return None
    return (
        f"This server does not answer to the host {_shown(values)}: open it as http://127.0.0.1 with its port, or, if "
        f"this is your reverse proxy, {_ALLOW}."
    )


def _wrong_origin(headers: Headers, hosts: Hosts) -> str | None:
    values = headers.get("origin", ())
    if not values or (len(values) == 1 and hosts.owns(values[0], headers["host"][0])):
        return None
    return f"A page of {_shown(values)} may not talk to this server; if that is your reverse proxy, {_ALLOW}."


def _wrong_site(scope: Scope, headers: Headers) -> str | None:
    if set(headers.get("sec-fetch-site", ())) <= {"same-origin", "none"} or _opens_a_page(scope, headers):
        return None
    return f"Another web page asked for this, and may only link to pages of the UI: {_OWN_WINDOW}."


def _opens_a_page(scope: Scope, headers: Headers) -> bool:
    """Whether it is a link, followed in a window of its own, to a page of the UI."""
    return (
        scope["type"] == "http"
        and scope["method"] == "GET"
        and headers.get("sec-fetch-mode") == ["navigate"]
        and headers.get("sec-fetch-dest") == ["document"]
        and not scope["path"].startswith(NOT_PAGES)
    )


def _wrong_content(scope: Scope, headers: Headers) -> str | None:
    if scope["method"] not in ("GET", "HEAD"):
        kinds = [value.partition(";")[0].strip().lower() for value in headers.get("content-type", ())]
        return None if kinds == ["application/json"] else "Send this as a POST with Content-Type: application/json."
    if scope["path"].rstrip("/") == GRAPHQL and not all(map(only_reads, documents(scope["query_string"]))):
        return "A GET may only read: send this as a POST with Content-Type: application/json."
    return None


def documents(query_string: bytes) -> list[str]:
    """Return every GraphQL document in the query of an address."""
    pairs = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)
    return [value for name, value in pairs if name == "query"]


def only_reads(document: str) -> bool:
    """Whether a GraphQL document holds queries alone: no mutation, no subscription, nothing that cannot be read."""
    try:
        definitions = parse(document, no_location=True).definitions
    except (GraphQLError, RecursionError):
        return False
    operations = [each for each in definitions if isinstance(each, OperationDefinitionNode)]
    return all(each.operation is OperationType.QUERY for each in operations)


def _shown(values: Sequence[str]) -> str:
    """Return values of a header for a message, without anything that a terminal or a page would act on."""
    return ", ".join(ascii(value[:100]) for value in values[:3]) or "'' (none was named)"
