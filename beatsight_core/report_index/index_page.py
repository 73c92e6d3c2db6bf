"""The index page, made anew for each request, and the line of links above every report that the web server shows."""

import html
from urllib.parse import quote

from beatsight_core.dataset.page.dataset_page import page_paths
from beatsight_core.errors import BeatSightError
from beatsight_core.pages.page import render_page
from beatsight_core.report_addresses import REPORTS, report_address
from beatsight_core.report_index.listed_reports import (
    Link,
    archive_rows,
    health_verdict,
    manifest_keys,
    refused_files,
    run_rows,
    version_rows,
)
from beatsight_core.settings import Settings
from beatsight_core.typed_json import JsonObject, JsonValue, to_json

_MARK = "<body>"


def index_page(settings: Settings) -> str:
    """Return the index of all reports as HTML."""
    problems: list[str] = []
    manifests = [_manifest(settings, key) for key in manifest_keys(settings)]
    runs = run_rows(settings)
    versions: list[JsonValue] = []
    try:
        versions = [to_json(row) for row in version_rows(settings)]
    except BeatSightError as error:
        problems.append(str(error))
    archives = [to_json(row) for row in archive_rows(settings)]
    return render_page(
        "index.html",
        title="Reports",
        data_root=str(settings.data_root),
        manifests=manifests,
        refused=[{"file": name, "problem": problem} for name, problem in refused_files(settings)],
        runs=[to_json(row) for row in runs],
        versions=versions,
        archives=archives,
        problems=problems,
    )


def message_page(title: str, said: str) -> str:
    """Return a page with a sentence in place of a report, and the way back to the index."""
    return render_page("message.html", title=title, said=said, index=REPORTS)


def _manifest(settings: Settings, key: str) -> JsonObject:
    state, said, address = health_verdict(settings, key)
    page, _ = page_paths(settings, key)
    dataset = report_address(settings, page) if page.is_file() else None
    return {
        "key": key,
        "state": state,
        "health": {"text": said, "href": address},
        "dataset": {"text": "clips to hear" if dataset else "not exported", "href": dataset},
    }


def with_links(settings: Settings, page: str, address: str) -> str:
    """Return a report with a line of links on top: to the index, and to the other reports about the same thing.

    The file itself stays as it is, complete without a server.

    Args:
        settings: Settings that say where reports lie.
        page: Report as HTML.
        address: Address of the report after `REPORTS`, with nothing quoted.
    """
    links = "".join(f'<a href="{html.escape(link.href or "")}">{html.escape(link.text)}</a>' for link in
                    [Link("All reports", REPORTS), *_neighbours(settings, address), Link("Dagster", "/")])  # fmt: skip
    bar = f'<nav class="contents reports" aria-label="Reports"><div class="wide">{links}</div></nav>'
    return page.replace(_MARK, _MARK + bar, 1)


def _neighbours(settings: Settings, address: str) -> list[Link]:
    """Links to the reports about the same manifest."""
    kind, *parts = address.split("/")
    if kind == "health" and len(parts) == 2:
        key, other, name = parts[0], f"datasets/{parts[0]}.html", "Its clips"
    elif kind == "datasets":
        key = parts[0].removesuffix(".html")
        other, name = f"health/{key}/report.html", "Its health"
    else:
        return []
    folder = settings.dataset_pages_dir if other.startswith("datasets") else settings.health_dir
    there = (folder / other.partition("/")[2]).is_file()
    return [Link(name, REPORTS + quote(other))] if there else []
