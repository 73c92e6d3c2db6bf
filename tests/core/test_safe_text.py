"""Text from data where it is read as more than letters: terminals, shells, Markdown, spreadsheets, logs."""

import csv
import io
import json
import logging
import re
import shlex
import unicodedata

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from beatsight_core.safe_text import (
    csv_row,
    fence_for,
    for_csv,
    for_markdown,
    for_shell,
    for_terminal,
    json_for_terminal,
    paragraph_for_terminal,
    values_for_terminal,
)

ANY = st.text(st.characters(codec=None))


def steering(text):
    return [each for each in text if unicodedata.category(each) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")]


@given(ANY)
@example("\x1b[2J\x9b31m\u202egnp.exe\u200b\ufeff\udcff\r\n\t\U000e0041")
def test_a_terminal_shows_every_character_and_obeys_none(text):
    shown = for_terminal(text)
    assert not steering(shown)
    assert shown.encode("utf-8", "strict") == for_terminal(shown).encode()  # and there is nothing left to escape
    assert not set(steering(for_terminal(text, lines=True))) - {"\n", "\t"}


@pytest.mark.parametrize(
    "text", ["kit", "C:\\audio\\x.wav", "Schläge 太鼓 ドラム　1", "\u05e9\u05dc\u05d5\u05dd", "é🥁", "[red]"]
)
def test_what_people_write_stays_what_it_is(text):
    assert for_terminal(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31m", r"\x1b[31m"), ("\x9b1m", r"\x9b1m"), ("\u202ea", r"\u202ea"), ("a\nb", r"a\nb"),
        ("\udcff", r"\udcff"),
        ("a\u200bb", r"a\u200bb"), ("\u3164", r"\u3164"), ("\U000e0041", r"\U000e0041"), ("a\rb", r"a\rb"),
    ],
)  # fmt: skip
def test_what_steers_is_shown_as_an_escape(text, shown):
    assert for_terminal(text) == shown


def test_a_paragraph_is_one_line():
    assert paragraph_for_terminal("what:\n   line 2\n\n\x1b[0m") == r"what: line 2 \x1b[0m"


def test_a_result_is_safe_in_all_its_texts_and_keys():
    value = {"a\x1b": ["\u202e", {"b\n": ("\x07",)}], "n": 1, "f": 0.5, "none": None, "diff": "-a\x1b\n+b"}
    assert values_for_terminal(value, lines=frozenset({"diff"})) == {
        r"a\x1b": [r"\u202e", {r"b\n": [r"\x07"]}], "n": 1, "f": 0.5, "none": None, "diff": "-a\\x1b\n+b",
    }  # fmt: skip


@given(st.recursive(st.text(), lambda inner: st.dictionaries(st.text(), inner) | st.lists(inner), max_leaves=5))
@example("\x7f\x9b\u202e\U000e0041\x1b")
def test_json_says_the_same_and_steers_nothing(value):
    text = json_for_terminal(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
    assert json.loads(text) == orjson.loads(text) == value
    assert set(steering(text)) <= {"\n"}


@given(ANY)
@example("# a")
@example("1. a")
@example("---")
def test_markdown_reads_text_as_text_on_one_line(text):
    said = for_markdown(text)
    assert not steering(said)
    assert not re.search("[<>]", said)
    assert not re.search(r"(?<!\\)(?:\\\\)*[|`*_\[\]~]", said)
    assert not re.match(r"#{1,6}(\s|$)|[-+](\s|$)|\d+[.)](\s|$)|[-=]+$", said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[x](javascript:alert(1))", r"\[x\](javascript:alert(1))"), ("![x](http://x)", r"!\[x\](http://x)"),
        ("<img src=x>", "&lt;img src=x&gt;"), ("a|b", r"a\|b"), ("`c`", r"\`c\`"), ("# a", r"\# a"),
        ("12. a", r"12\. a"), ("a\n\n# b", "a # b"), ("&lt;", "&amp;lt;"), ("\u202eb", "\ufffdb"),
        ("2026-11-30", "2026-11-30"), (-0.5, "-0.5"),
    ],
)  # fmt: skip
def test_links_pictures_tables_html_and_headings_of_a_name_are_letters(text, said):
    assert for_markdown(text) == said


@given(st.text("~`a\n", max_size=20))
def test_no_line_closes_its_fence(text):
    fence = fence_for(text)
    assert len(fence) >= 4
    assert fence not in text


FORMULAS = (
    "=1+1",
    "+1+1",
    "-1+A1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    "|cmd",
    "%0A=1",
    "\uff1d1",
    "=HYPERLINK(1)",
)


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_a_formula(text):
    assert for_csv(text)[0] in "'\\"


@pytest.mark.parametrize(
    "cell", ["kick", "kick+snare", "-0.5", "+3", "-1e-05", "1.5", 7, 0.25, None, "", "a=b", "nan", "-inf", "96%"]
)
def test_ordinary_cells_and_numbers_stay(cell):
    assert for_csv(cell) == cell


@given(st.lists(ANY, min_size=1, max_size=4))
def test_every_row_is_one_row_of_as_many_cells(cells):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(csv_row([*cells, "end"]))
    (row,) = csv.reader(io.StringIO(text.getvalue().encode().decode()))
    assert len(row) == len(cells) + 1
    numbers = re.compile(r"[+-]?[\d.]+([eE][+-]?\d+)?%?|[+-]?(inf|nan)", re.IGNORECASE)
    assert not [cell for cell in row if re.match(r"\s*[=+\-@\t\r]", cell) and not numbers.fullmatch(cell)]


@given(ANY.filter(lambda text: "\0" not in text))
def test_a_shell_takes_text_for_one_word(text):
    assert shlex.split(f"beatsight export {for_shell(text)} --heal") == ["beatsight", "export", text, "--heal"]


def test_whoever_shows_a_log_line_shows_a_safe_one():
    heard = []

    class Ear(logging.Handler):
        def emit(self, record):
            heard.append(self.format(record))

    logger, ear = logging.getLogger("beatsight"), Ear()
    logger.addHandler(ear)
    try:
        logger.warning("no audio in %s, 100 %%", "kit\x1b]0;owned\x07\nfake line")
        logger.warning("a %s without arguments")
    finally:
        logger.removeHandler(ear)
    assert heard == ["no audio in kit\\x1b]0;owned\\x07\\nfake line, 100 %", "a %s without arguments"]
