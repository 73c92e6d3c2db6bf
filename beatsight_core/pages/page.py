"""Rendering of reports: one HTML file each, complete in itself.

A page needs no network and no script, and forbids both by its content policy; everything a template is given is
escaped. Templates extend `base.html` and draw with the macros of `ui.html` (badges, tiles, tables, gates, players) and
`charts.html` (bars, histograms, heat maps, curves):

    {% extends "base.html" %}
    {% import "ui.html" as ui with context %}
    {% import "charts.html" as charts with context %}
    {% block content %}{% call ui.section("classes", "Classes") %}{{ charts.bars(rows) }}{% endcall %}{% endblock %}

Conventions: a share is 0..1; numbers go to templates as numbers and are written by the filters of `formats.py`
(`{{ hits | shown("count") }}`); a state is one of pass, warn, fail, info.
"""

import functools
import importlib.resources
import re
from typing import Any, TypeVar

import jinja2

from beatsight_core.pages import charts, formats, pictures

ROOMS = ("pages", "dataset/page", "health/page", "evaluation/page", "report_index")
"""Where templates are looked for: `beatsight_core/<room>/templates/`, the first that has the name."""


Value = TypeVar("Value")

_DIRECTIONS = re.compile(r"[\u202a-\u202e\u2066-\u2069]")
"""Characters that turn the direction of all text after them; in a name they would turn the page's own words round."""


def render_page(template: str, *, title: str, **context: Any) -> str:
    """Render a report.

    Args:
        template: File name, such as "health.html".
        title: Heading of the page.
        context: Values that the template names. A name that it uses and is not given is an error, not an empty place.

    Returns:
        A whole HTML document, ready to be written as UTF-8.

    Raises:
        jinja2.TemplateNotFound: No room has that template.
        jinja2.UndefinedError: The template names something that was not given.
    """
    return _environment().get_template(template).render(title=title, **context)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_source),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_unturned,
    )
    environment.filters.update(
        {"shown": formats.shown, "percent": charts.percent, "data_uri": pictures.data_uri, **formats.FORMATS}
    )
    environment.globals.update(
        ratio=charts.ratio, largest=charts.largest, reach=charts.reach, split_shares=charts.split_shares,
        spread=charts.spread, plot=charts.plot, is_numeric=formats.is_numeric,
        SPLIT_PARTS=charts.SPLIT_PARTS, BUCKET_PARTS=charts.BUCKET_PARTS,
    )  # fmt: skip
    return environment


def _unturned(value: Value) -> Value | str:
    """Return text from data with U+FFFD for each character that would turn what follows it; anything else as it is.

    Letters that are written from right to left need none of them.
    """
    return _DIRECTIONS.sub("\ufffd", value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _source(name: str) -> str | None:
    core = importlib.resources.files("beatsight_core")
    for room in ROOMS:
        candidate = core.joinpath(*room.split("/"), "templates", name)
        if candidate.is_file():
            return candidate.read_text(encoding="utf-8")
    return None
