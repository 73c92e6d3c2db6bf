import html.parser
import re

import jinja2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beatsight_core.gates.gate import Gate, at_least, at_most, written
from beatsight_core.pages.page import render_page

VOID = {"meta", "img", "br", "hr", "input", "link"}
PNG = b"\x89PNG\r\n\x1a\n"
WAV = b"RIFF\x24\x00\x00\x00WAVE"
GATES = [
    written(gate)
    for gate in (
        Gate("kick", 120, at_least(500), "add kicks"),
        Gate("copies", 0.001, at_most(0.005), "", format="share"),
        Gate("audio", None, at_most(0.1), "not measured"),
    )
]


class Structure(html.parser.HTMLParser):
    """Collects tags and attributes, and holds that every element that opens is closed in its turn."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag


def parsed(page):
    structure = Structure()
    structure.feed(page)
    structure.close()
    assert structure.open == []
    return structure


def gallery(name, **context):
    return render_page("gallery.html", title=name, name=name, gates=GATES, png=PNG, wav=WAV, **context)


def test_every_macro_makes_well_formed_html(with_template):
    structure = parsed(gallery("hits"))
    assert {"audio", "img", "table", "svg", "details"} <= set(structure.tags)


HOSTILE = st.sampled_from("<>&\"'/= {}%#ab;\u202e\u05d0漢") | st.characters(codec="utf-8")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(HOSTILE, min_size=1, max_size=60))
def test_no_text_ever_changes_the_structure_of_a_page(with_template, name):
    harmless, hostile = parsed(gallery("x")), parsed(gallery(name))
    ticks = {"span", "path"}
    assert [tag for tag in hostile.tags if tag not in ticks] == [tag for tag in harmless.tags if tag not in ticks]
    assert {key for key, _ in hostile.attributes} == {key for key, _ in harmless.attributes}


def test_a_script_in_a_name_is_shown_and_not_run(with_template):
    page = gallery('<script>alert(1)</script><img src=x onerror="alert(2)">')
    structure = parsed(page)
    assert "script" not in structure.tags
    assert not any(key.startswith("on") for key, _ in structure.attributes)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_a_name_does_not_turn_the_words_after_it(with_template):
    page = gallery("\u202eturned\u2067 \u05d0\u05d1")
    assert not set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069") & set(page)
    assert "\ufffdturned\ufffd \u05d0\u05d1" in page


def test_a_page_asks_no_other_host_and_forbids_it(with_template):
    page = gallery("x")
    addresses = [value for key, value in parsed(page).attributes if key in {"src", "href", "srcset", "action"}]
    assert addresses
    assert all(value.startswith(("data:", "#")) for value in addresses)
    assert not re.search(r"url\(|@import|https?:", page)
    assert "default-src 'none'" in page


def test_a_name_that_was_not_given_is_an_error(with_template):
    with_template["gap.html"] = '{% extends "base.html" %}{% block content %}{{ missing }}{% endblock %}'
    with pytest.raises(jinja2.UndefinedError, match="missing"):
        render_page("gap.html", title="x")


def test_an_unknown_template_is_an_error():
    with pytest.raises(jinja2.TemplateNotFound, match="nowhere"):
        render_page("nowhere.html", title="x")


def test_a_failed_gate_says_what_to_do_and_a_passed_one_is_brief(with_template):
    page = gallery("x")
    assert "add kicks" in page
    assert page.count('class="message"') == 2
    assert 'aria-label="not measured"' in page
    assert "right:50%;width:30.65%" in page  # -380 / (120 + 500), half of the drawing


def test_states_have_words_beside_their_colours(with_template):
    page = gallery("x")
    for words in ("passed", "failed"):
        assert f"<span>{words}</span>" in page
