"""The index page, made anew for each request, and the line of links above every report that the web server shows."""

import html
from urllib.parse import quote

from beatsight_core.errors import BeatSightError
from beatsight_core.pages.page import render_page
from beatsight_core.report_addresses import REPORTS, report_address
from beatsight_core.report_index.listed_reports import (
    Link,
    VersionRow,
    archive_rows,
    run_rows,
    version_rows,
)
from beatsight_core.settings import Settings
from beatsight_core.status.stage import ManifestStatus, State
from beatsight_core.status.status_list import list_statuses
from beatsight_core.typed_json import JsonObject, JsonValue, to_json

_MARK = "<body>"

_BADGES: dict[State, str] = {
    "done": "pass", "failed": "fail", "out of date": "warn", "under way": "info", "not yet": "",
}  # fmt: skip
"""State of a stage -> the badge that shows it; empty for none."""


def index_page(settings: Settings) -> str:
    """Return the index of all reports as HTML."""
    problems: list[str] = []
    versions: list[VersionRow] = []
    try:
        versions = version_rows(settings)
    except BeatSightError as error:
        problems.append(str(error))
    found = list_statuses(settings)
    return render_page(
        "index.html",
        title="Reports",
        data_root=found.data_root,
        manifests=[_manifest(settings, status) for status in found.manifests],
        refused=[to_json(each) for each in found.refused],
        runs=[to_json(row) for row in run_rows(settings, versions)],
        versions=[to_json(row) for row in versions],
        archives=[to_json(row) for row in archive_rows(settings)],
        problems=problems,
    )


def message_page(title: str, said: str) -> str:
    """Return a page with a sentence in place of a report, and the way back to the index."""
    return render_page("message.html", title=title, said=said, index=REPORTS)


def _manifest(settings: Settings, status: ManifestStatus) -> JsonObject:
    """A manifest for the template: its stages, each with the addresses of its reports."""
    stages: list[JsonValue] = []
    for stage in status.stages:
        links: list[JsonValue] = [
            {"text": _called(path), "href": address}
            for path in stage.reports
            if (address := report_address(settings, path))
        ]
        stages.append({**to_json(stage), "badge": _BADGES[stage.state], "links": links})
    return {**to_json(status), "stages": stages}


def _called(path: str) -> str:
    return "report" if path.endswith(".html") else path.rpartition("/")[2]


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
