"""The reports, served beside Dagster's own UI: read-only, and from the folders of reports alone.

Dagster's pages get a link to them, in the empty part of the bar on their left side.

What the files hold came from manifests and recordings of anywhere, so no answer lets anything run: no script, no form,
no frame, and no other host. It stands behind the guard, as all of the server does.
"""

import functools
from collections.abc import Callable
from http import HTTPStatus

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from beatsight_core.errors import BeatSightError
from beatsight_core.report_addresses import MEDIA_TYPES, REPORTS, report_file
from beatsight_core.report_index.index_page import index_page, message_page, with_links
from beatsight_core.settings import Settings
from beatsight_dagster.web.guard import Application, Message, Receive, Send

_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; media-src data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'self'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


_LINK = f"""<style>#beatsight-reports {{ position: fixed; left: 18px; bottom: 176px; z-index: 9; padding: 7px 14px;
border-radius: 8px; background: #1d4ed8; color: #fff; font: 600 13px system-ui, sans-serif; text-decoration: none }}
@media (max-height: 620px) {{ #beatsight-reports {{ display: none }} }}</style>
<a id="beatsight-reports" href="{REPORTS}">BeatSight reports</a>""".encode()
_END = b"</body>"


class Reports:
    """Answers for addresses of reports, and passes everything else on.

    Args:
        application: Dagster's own server.
        load: Function that returns the settings as they are now.
    """

    def __init__(self, application: Application, load: Callable[[], Settings]):
        self._application = application
        self._load = load

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request for a report, or pass the connection on."""
        if scope["type"] == "http" and f"{scope['path']}/".startswith(REPORTS):
            request = Request(scope)
            # Reading files and rendering pages would keep the server from answering others.
            response = await run_sync(functools.partial(self._answer, request.method, request.url.path, scope["path"]))
            await response(scope, receive, send)
        elif scope["type"] == "http":
            await self._application(scope, receive, _Linked(send))
        else:
            await self._application(scope, receive, send)

    def _answer(self, method: str, url: str, path: str) -> Response:
        if method not in ("GET", "HEAD"):
            return _page("Reports are only read", "Open them with a browser.", HTTPStatus.METHOD_NOT_ALLOWED)
        if f"{path}/" == REPORTS:
            return RedirectResponse(REPORTS, headers=_HEADERS)
        try:
            settings = self._load()
            address = path.removeprefix(REPORTS)
            return HTMLResponse(index_page(settings), headers=_HEADERS) if not address else _file(settings, address)
        except (BeatSightError, OSError) as error:
            return _page("This cannot be shown", str(error), HTTPStatus.INTERNAL_SERVER_ERROR)


def _file(settings: Settings, address: str) -> Response:
    file = report_file(settings, address)
    if file is None:
        said = "There is no such report. It was renamed, removed, or not made yet."
        return _page("Not found", said, HTTPStatus.NOT_FOUND)
    if file.suffix == ".html":
        page = file.read_text(encoding="utf-8", errors="replace")
        return HTMLResponse(with_links(settings, page, address), headers=_HEADERS)
    return FileResponse(file, media_type=MEDIA_TYPES[file.suffix], headers=_HEADERS)


def _page(title: str, said: str, status: HTTPStatus) -> Response:
    """An answer in words, with a way on."""
    return HTMLResponse(message_page(title, said), status, headers=_HEADERS)


class _Linked:
    """Sends an answer on, with the link to the reports in it if it is a page.

    Args:
        send: Function that takes the messages of the answer.
    """

    def __init__(self, send: Send):
        self._send = send
        self._start: Message | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_page(message):
            self._start = message  # its length is known when its body is
        elif self._start is None:
            await self._send(message)
        else:
            start, self._start = self._start, None
            body = message.get("body", b"")
            if not message.get("more_body") and _END in body:
                body = body.replace(_END, _LINK + _END, 1)
                headers = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
                start = {**start, "headers": [*headers, (b"content-length", str(len(body)).encode())]}
            await self._send(start)
            await self._send({**message, "body": body})


def _is_page(start: Message) -> bool:
    headers = {name.lower(): value for name, value in start.get("headers", ())}
    return headers.get(b"content-type", b"").startswith(b"text/html") and b"content-encoding" not in headers
