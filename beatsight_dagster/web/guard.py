"""ASGI middleware that lets no other web page use the server behind it.

It stands before everything that the server answers, HTTP and WebSocket. What it refuses gets 403 and a sentence; what
it lets through may not be shown inside a page of another site.
"""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, cast

from beatsight_dagster.web.hosts import Hosts
from beatsight_dagster.web.requests import Scope, refusal

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

_POLICY_VIOLATION = 1008
_ALONE = [
    (b"x-frame-options", b"SAMEORIGIN"),  # no other page lays itself over the UI and catches clicks
    (b"cross-origin-resource-policy", b"same-origin"),  # nor loads parts of it, in browsers without Sec-Fetch-Site
]
_NO_SCRIPTS = (b"content-security-policy", b"sandbox")
"""For notebooks, which are files of anywhere: shown as our own page, their scripts could use the server."""
_NOTEBOOKS = ("/notebook", "/dagit/notebook")


class Guard:
    """Refuses what another web page can make a browser send.

    Args:
        application: The server that is guarded.
        allowed: Names beside those of this machine that it is called by (`[web] hosts`).
    """

    def __init__(self, application: Application, allowed: Iterable[str] = ()):
        self._application = application
        self._hosts = Hosts(allowed)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a connection on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):  # the server's own start and end
            await self._application(scope, receive, send)
        elif reason := refusal(cast(Scope, scope), self._hosts):
            await _refuse(scope, send, reason)
        elif scope["type"] == "http":
            await self._application(scope, receive, _marked(scope, send))
        else:
            await self._application(scope, receive, send)


def _marked(scope: Message, send: Send) -> Send:
    """Let answers say that no other page may show or load them."""
    more = [*_ALONE, _NO_SCRIPTS] if scope["path"].startswith(_NOTEBOOKS) else _ALONE

    async def send_marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *more]}
        await send(message)

    return send_marked


async def _refuse(scope: Message, send: Send, reason: str) -> None:
    kind = "http.response"
    if scope["type"] == "websocket":
        kind = "websocket.http.response"
        if kind not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": reason[:120]})
            return
    body = f"{reason}\n".encode("ascii", "replace")
    headers = [
        (b"content-type", b"text/plain; charset=us-ascii"),
        (b"content-length", str(len(body)).encode()),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": f"{kind}.start", "status": 403, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})
