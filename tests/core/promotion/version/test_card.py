"""Names from data in a model card: shown as text, whatever they would like to be."""

import html
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.evaluation.evaluate import read_evaluation
from beatsight_core.promotion.version.model_card import model_card
from beatsight_core.safe_text import for_markdown

HOSTILE = [
    "<script>alert(1)</script>",
    "a|b",
    "](http://x) [x",
    "`code` *b* _i_",
    "\u202eleft",
    "\x1b[31mred",
    "x" * 300,
]


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=40))
def test_escaped_text_is_one_line_that_markdown_and_html_read_as_text(text):
    said = for_markdown(text)
    assert not re.search("[<>\n\r\x00-\x1f\u202a-\u202e\u2066-\u2069]", said)
    assert not re.search(r"(?<!\\)(?:\\\\)*[|`*_\[\]~]", said)
    if text.isprintable():
        assert html.unescape(re.sub(r"\\([\\`*_\[\]|~#+.=)-])", r"\1", said)).split() == text.split()


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_from_data_makes_a_row_a_link_or_markup(released, name):
    folder = released.settings.models_dir / "versions" / "2"
    read = {part: json.loads((folder / f"{part}.json").read_text()) for part in ("version", "gate")}
    evaluation = read_evaluation(folder)
    about = {**read["version"], "environment": {"device": name}, "forced": name, "key": name}
    plain = model_card({**about, "forced": "x"}, evaluation, read["gate"])
    about["data"] = [{**row, "source_set": name, "licence": name} for row in about["data"]]
    card = model_card(about, evaluation, read["gate"])
    assert len(card.splitlines()) == len(plain.splitlines())
    bars = [len(re.findall(r"(?<!\\)\|", text)) for text in (card, plain)]
    assert bars[0] == bars[1]
    assert "<script" not in card
    assert "\u202e" not in card
    assert "\x1b" not in card
