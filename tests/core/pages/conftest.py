import pytest

from beatsight_core.pages import page

GALLERY = """
{% extends "base.html" %}
{% import "ui.html" as ui with context %}
{% import "charts.html" as charts with context %}
{% block verdict %}{{ ui.badge("fail", name) }}{% endblock %}
{% block lead %}<p class="lead">{{ name }}</p>{% endblock %}
{% block contents_list %}{{ ui.links([("gates", name)]) }}{% endblock %}
{% block content %}
{{ ui.tiles([{"label": name, "value": name, "note": name, "state": "warn"}, {"label": "a", "value": "b"}]) }}
{% call ui.section("gates", name, name) %}{{ ui.gates(gates) }}{% endcall %}
{% call ui.section("rest", "Rest", half=true) %}
{{ ui.facts([(name, name), ("digest", none)]) }}
{{ ui.notices([{"state": "info", "text": name}, {"state": "warn", "text": name}]) }}
{{ ui.table([{"key": "name", "title": name}, {"key": "hits", "title": "Hits", "format": "count"},
             {"key": "state", "title": "State", "format": "state"},
             {"key": "digest", "title": "Digest", "format": "code"}],
            [{"name": name, "hits": 1234, "state": "pass", "digest": name}, {"name": "gap"}], name) }}
{{ ui.table([{"key": "name", "title": "Name"}], [], name) }}
{% call ui.details(name) %}<p>inside</p>{% endcall %}
{{ charts.bars([{"label": name, "value": 3, "note": name}, {"label": "none", "value": none}]) }}
{{ charts.stacked([{"label": name, "amounts": {"train": 3, "val": 1, "calibration": none}}], SPLIT_PARTS) }}
{{ charts.histogram([0, 3, 1], [0, 0.5, 1, 2], name, name) }}
{{ charts.histogram([1], [name, name], name, name) }}
{{ charts.heatmap([name, "b"], [name, "c"], [[1, 0], [none, 4]], name) }}
{{ charts.curves([{"title": name, "points": [(0, 1.0), (1, none), (2, 3.0)]}], name, name) }}
{{ charts.curves([], name, name) }}
{% call ui.clips() %}{{ ui.clip(name, name, png, wav) }}{% endcall %}
{{ ui.picture(png, name, name) }}
{% endcall %}
{% endblock %}
"""
"""A page that uses every macro, with a name of the test's choosing wherever text can go."""


@pytest.fixture
def with_template(monkeypatch):
    """Add templates by name for the length of a test."""
    extra = {"gallery.html": GALLERY}
    shipped = page._source
    monkeypatch.setattr(page, "_source", lambda name: extra.get(name) or shipped(name))
    page._environment.cache_clear()
    yield extra
    page._environment.cache_clear()
