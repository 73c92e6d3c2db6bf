"""One value of a configuration is changed, in four formats, and nothing else: not a blank, not a comment."""

import json
import tomllib

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.promotion.config_text import ConfigTextError, format_of, with_value

NEW = "/data/models/versions/7/model.pth"
JSON = (
    '{\n\t"other" : [1, 2.50, {"path": "no"}],"models": {"drums":{ "path":"old" , "x": null}},\n "é\\u00e9": 1e3 }\n\n'
)
TOML = """# models.drums.path = "not this"
path = "nor this"   # comment
text = '''
[models.drums]
path = "nor that"
'''
[models.drums]   # ours
path   =   "old"   # keep me
x=1.50
[[others]]
path = "old"
"""
YAML = """# path: no
other: {path: old, list: [1, 2.50]}
models:
    drums:
        path:   old      # keep me
        tagged: !mine {a: 1}
        empty:
text: |
  models:
    drums:
      path: old
"""
ENV = """# MODEL=no
export OTHER='a b'  # x
MODEL=old   # keep me
SECRET="s\\"x"
MODEL_2=old
not a line of any kind
"""
TEXTS = {"json": JSON, "toml": TOML, "yaml": YAML, "env": ENV}
KEYS = {"json": "models.drums.path", "toml": "models.drums.path", "yaml": "models.drums.path", "env": "MODEL"}


@pytest.mark.parametrize("kind", list(TEXTS))
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_only_the_value_changes(kind, newline):
    before = TEXTS[kind].replace("\n", newline)
    after = with_value(before, kind, KEYS[kind], NEW)
    start = next(place for place, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1])
    assert after == before[:start] + NEW + before[start + len("old") :]
    assert with_value(after, kind, KEYS[kind], NEW) == after
    assert with_value(after, kind, KEYS[kind], "old") == before


@pytest.mark.parametrize("kind", list(TEXTS))
@settings(max_examples=60, deadline=None)
@given(value=st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=30))
def test_whatever_the_value_is_it_is_read_back_or_refused(kind, value):
    try:
        after = with_value(TEXTS[kind], kind, KEYS[kind], value)
    except ConfigTextError:
        assert kind == "env" or not value.isprintable()
        return
    if kind == "json":
        assert json.loads(after)["models"]["drums"] == {"path": value, "x": None}
    elif kind == "toml":
        assert tomllib.loads(after)["models"]["drums"] == {"path": value, "x": 1.5}
    elif kind == "yaml":
        found = yaml.safe_load(after.replace("!mine ", ""))
        assert found["models"]["drums"] == {"path": value, "tagged": {"a": 1}, "empty": None}
    kept = [line for line in TEXTS[kind].splitlines() if "old" not in line]
    assert [line for line in kept if line in after.splitlines()] == kept


@settings(max_examples=40, deadline=None)
@given(
    table=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=12,
    ),
    indent=st.sampled_from([None, 0, 3]),
    ascii_only=st.booleans(),
)
def test_in_any_json_the_wanted_string_is_found(table, indent, ascii_only):
    whole = {"before": table, "list": [table, {"here": "old"}, table], "after": table}
    text = json.dumps(whole, indent=indent, ensure_ascii=ascii_only)
    after = with_value(text, "json", "list.1.here", "new")
    assert json.loads(after) == {**whole, "list": [table, {"here": "new"}, table]}
    assert len(after) == len(text)


@pytest.mark.parametrize(
    ("kind", "text", "key", "why"),
    [
        ("json", "{", "a", "not valid JSON"),
        ("json", '{"a": 1, "a": 2}', "a", "twice"),
        ("json", '{"a": {"b": 1}}', "a", "table or a list"),
        ("json", '{"a": 1}', "a.b", "no value a.b"),
        ("json", '{"a": [1]}', "a.1", "no value"),
        ("toml", "a = {b = 'old'}", "a.b", "line of its own"),
        ("toml", "a = [", "a", "not valid TOML"),
        ("yaml", "a: &x old\nb: *x\n", "a", "safely"),
        ("yaml", "a: &x old\n", "a", "safely"),
        ("yaml", "a: !mine old\n", "a", "safely"),
        ("yaml", "a: [", "a", "not valid YAML"),
        ("yaml", "a: 1\na: 2\n", "a", "twice"),
        ("yaml", "a: |\n  old\nb: 1\n", "a", "safely"),
        ("env", "A=1\nA=2\n", "A", "twice"),
        ("env", "B=1\n", "A", "no value A"),
        ("env", "A=old\\\n  more\n", "A", "safely"),
    ],
)
def test_what_cannot_be_changed_safely_is_refused_with_its_reason(kind, text, key, why):
    with pytest.raises(ConfigTextError, match=why):
        with_value(text, kind, key, "new")


@pytest.mark.parametrize(
    ("kind", "text", "key", "after"),
    [
        ("json", '{"a.b": {"c": 3}}', '"a.b".c', '{"a.b": {"c": "n w"}}'),
        ("toml", "a.b = 'o'\n", "a.b", "a.b = 'n w'\n"),
        ("toml", "[a]\n'b' = 3\n", "a.b", "[a]\n'b' = \"n w\"\n"),
        ("yaml", "a: 'o'\n", "a", "a: 'n w'\n"),
        ("yaml", 'a: {b: [x, "o"]}\n', "a.b.1", 'a: {b: [x, "n w"]}\n'),
        ("yaml", "a:\nb: 1\n", "a", "a: n w\nb: 1\n"),
        ("env", "A='o'", "A", "A='n w'"),
        ("env", 'A="o"', "A", 'A="n w"'),
        ("env", "A=o#o", "A", 'A="n w"'),
        ("env", "A=o o\t# o", "A", 'A="n w"\t# o'),
        ("env", "A= # o", "A", 'A="n w" # o'),
        ("env", "A=\nB=1", "A", 'A="n w"\nB=1'),
    ],
)
def test_the_writer_keeps_the_way_the_old_value_was_written(kind, text, key, after):
    assert with_value(text, kind, key, "n w") == after


def test_formats_are_known_by_the_name():
    names = {"a.json": "json", "a.TOML": "toml", "a.yml": "yaml", ".env": "env", ".env.local": "env", "app.env": "env"}
    assert {name: format_of(name) for name in names} == names
    assert format_of("a.ini") is None
