"""One value of a configuration is changed, in four formats, and nothing else: not a blank, not a comment."""

import json
import time
import tomllib

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.promotion.external.config_text import ConfigTextError, format_of, value_of, with_value

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
        ("toml", "a = [", "a", "not valid TOML"),
        ("yaml", "a: &x old\nb: *x\n", "a", "safely"),
        ("yaml", "a: &x old\n", "a", "safely"),
        ("yaml", "a: !mine old\n", "a", "safely"),
        ("yaml", "a: [", "a", "not valid YAML"),
        ("yaml", "a: 1\na: 2\n", "a", "twice"),
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


@pytest.mark.parametrize(
    ("text", "key", "old", "written"),
    [
        ("a = {b = 'old', t = \"hush\"}\n", "a.b", "'old'", "'n w'"),
        ('a = { x = { y = [1, { z = "old" }] } }\n', "a.x.y.1.z", '"old"', '"n w"'),
        ("a = [ 'x',   # first\n  \"old\" , # second\n]\n", "a.1", '"old"', '"n w"'),
        ("a = [[1, 2], [3, true]]\n", "a.1.1", "true", '"n w"'),
        ('a = """\none\ntwo\\\n  three"""  # c\nb = 1\n', "a", '"""\none\ntwo\\\n  three"""', '"n w"'),
        ("a = '''\r\none\r\ntwo'''\r\nb = 1\r\n", "a", "'''\r\none\r\ntwo'''", "'n w'"),
        ("[[m]]\nn = 'a'\n[[m]]\nn = 'old'\n[m.x]\nn = 3\n", "m.1.n", "'old'", "'n w'"),
        ("[[m]]\n[[m.s]]\np = 1\n[[m.s]]\np = 'old'\n[[m]]\n[[m.s]]\np = 'o'\n", "m.0.s.1.p", "'old'", "'n w'"),
        ("a.b.c = 'old' # x\na.b.d = 1\n", "a.b.c", "'old'", "'n w'"),
        ("'a.b'.\"c d\" = 'old'\n", '"a.b"."c d"', "'old'", "'n w'"),
        ("[a.b]\nc = 1\n[x]\ny = 2\n[a.d]\nc = 'old'\n", "a.d.c", "'old'", "'n w'"),
        ("a = 1979-05-27T07:32:00Z # when\n", "a", "1979-05-27T07:32:00Z", '"n w"'),
        ("a = 0x_1\n".replace("_", ""), "a", "0x1", '"n w"'),
        ("a = 'old'", "a", "'old'", "'n w'"),
    ],
)
def test_a_value_of_toml_may_stand_anywhere(text, key, old, written):
    assert with_value(text, "toml", key, "n w") == text.replace(old, written)
    assert value_of(with_value(text, "toml", key, "n w"), "toml", key) == "n w"


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("a: |\n  old\n  older\n\nb: 1\n", "a: n w\n\nb: 1\n"),
        ("a: >-\r\n  old\r\nb: 1\r\n", "a: n w\r\nb: 1\r\n"),
        ("a: |\n  old", "a: n w"),
        ("a:\n  - x\n", None),
        ("x: {a: old}\na: old # c\n...\n", "x: {a: old}\na: n w # c\n...\n"),
        ("%YAML 1.1\n---\na: old\n", "%YAML 1.1\n---\na: n w\n"),
    ],
)
def test_a_value_of_yaml_may_be_a_text_of_several_lines(text, after):
    if after is None:
        with pytest.raises(ConfigTextError, match="table or a list"):
            with_value(text, "yaml", "a", "n w")
    else:
        assert with_value(text, "yaml", "a", "n w") == after


@pytest.mark.parametrize(
    "value", ["12e5", "1e3", "0o7", "yes", "N", "null", "1:30", "a\tb", "# x", "- a", "*a", "007", "~"]
)
def test_a_text_of_yaml_is_written_so_that_no_reader_takes_it_for_another_thing(value):
    assert with_value("a: old\n", "yaml", "a", value) == f"a: {json.dumps(value)}\n"


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ('KEY="-----BEGIN\nMODEL=no\n-----END"\nMODEL=old\n', 'KEY="-----BEGIN\nMODEL=no\n-----END"\nMODEL=n.w\n'),
        ("A='it\nMODEL=old\n", "A='it\nMODEL=n.w\n"),
        ('MODEL="old\nolder"\n', None),
        ('KEY="x\nMODEL=old"\n', None),
        ("MODEL=old \t # it's\r\nB='x'", "MODEL=n.w \t # it's\r\nB='x'"),
        ("  export  MODEL = old\n", "  export  MODEL = n.w\n"),
    ],
)
def test_a_variable_is_not_taken_for_one_inside_a_text_of_several_lines(text, after):
    if after is None:
        with pytest.raises(ConfigTextError):
            with_value(text, "env", "MODEL", "n.w")
    else:
        assert with_value(text, "env", "MODEL", "n.w") == after


_BLANK = st.sampled_from(["", " ", "  ", "\t"])
_WORD = st.text("abcxyz012", min_size=1, max_size=6)
_LEAF = st.sampled_from(["1", "-2.50", "true", '"te xt"', "'x'", '""', "1e3"])


@st.composite
def toml_around(draw) -> tuple[str, str, str]:
    """What stands before a value and after it, in a document of TOML with comments; and the value's key."""
    kind = draw(st.sampled_from(["line", "inline", "array", "tables", "dotted"]))
    blank, end = draw(_BLANK), draw(st.sampled_from([' # it\'s "ours"', "", "   "]))
    head = "".join(f"{draw(_BLANK)}h{place} = {draw(_LEAF)}{end}\n" for place in range(draw(st.integers(0, 3))))
    tail = "".join(f"\n[t{place}]\nmodel = {draw(_LEAF)}\n#\n" for place in range(draw(st.integers(0, 3))))
    opened, closed, key = {
        "line": (f"[m]{blank}\nmodel{blank}={blank}", "", "m.model"),
        "inline": (f"m = {{{blank}a = {draw(_LEAF)},{blank}model ={blank}", f"{blank}, c = [1]{blank}}}", "m.model"),
        "array": (f"m = [{draw(_LEAF)},\n # c\n {blank}", f"{blank},\n{draw(_LEAF)}{blank},\n]", "m.1"),
        "tables": (f"[[m]]\nmodel = {draw(_LEAF)}\n[[m]]\nmodel ={blank}", "", "m.1.model"),
        "dotted": (f"m{blank}.{blank}'x y'.model ={blank}", "", 'm."x y".model'),
    }[kind]
    return head + opened, f"{closed}{end}\n{tail}", key


@st.composite
def yaml_around(draw) -> tuple[str, str, str]:
    """The same of YAML."""
    head = "".join(f"h{place}: {draw(_LEAF)}  # c: d\n" for place in range(draw(st.integers(0, 3))))
    tail = "".join(f"t{place}:\n  model: {draw(_LEAF)}\n\n" for place in range(draw(st.integers(0, 3))))
    blank = draw(st.sampled_from([" ", "   "]))
    opened, closed, key = draw(
        st.sampled_from(
            [
                (f"m:\n    model:{blank}", "", "m.model"),
                (f"m:\n- x\n-{blank}model:{blank}", "", "m.1.model"),
                (f"m: {{a: [1, 2],{blank}model:{blank}", f"{blank}}}", "m.model"),
                (f"m: [{blank}x ,", f"{blank}, y]", "m.1"),
            ]
        )
    )
    return f"# {draw(_WORD)}\n" + head + opened, f"{closed}\n{tail}", key


@st.composite
def env_around(draw) -> tuple[str, str, str]:
    """The same of a file of variables."""
    head = "".join(f"H{place}='{draw(_WORD)}' # x\n\n" for place in range(draw(st.integers(0, 3))))
    tail = "".join(f"T{place}={draw(_WORD)}\nno line\n" for place in range(draw(st.integers(0, 3))))
    export, comment = draw(st.sampled_from(["", "export ", " "])), draw(st.sampled_from(["", " # c", "  "]))
    return f"{head}{export}MODEL=", f"{comment}\n{tail}", "MODEL"


AROUND = {"toml": toml_around(), "yaml": yaml_around(), "env": env_around()}


@pytest.mark.parametrize("kind", list(AROUND))
@settings(max_examples=60, deadline=None)
@given(data=st.data(), new=st.from_regex(r"/[a-z0-9/._-]{1,20}", fullmatch=True), old=_WORD)
def test_all_but_the_value_stays_to_the_byte(kind, data, new, old):
    """Comments, blanks, other values of that name, the kind of line end, a last line without one."""
    before, after, key = data.draw(AROUND[kind])
    newline = data.draw(st.sampled_from(["\n", "\r\n"]))
    before, after = before.replace("\n", newline), after.replace("\n", newline)
    after = after.rstrip() if data.draw(st.booleans()) and "#" not in after[-20:] else after
    assert with_value(f'{before}"{old}"{after}', kind, key, new) == f'{before}"{new}"{after}'


NINES = ", ".join(["*a{0}"] * 9)
BOMBS = {
    "aliases of aliases": (
        "yaml",
        "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{NINES.format(n - 1)}]\n" for n in range(1, 30)),
    ),
    "merged aliases": (
        "yaml",
        "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n}\n  <<: [{NINES.format(n - 1)}]\n" for n in range(1, 30)),
    ),
    "an alias inside its own node": ("yaml", "a: &a {b: [*a]}\n"),
    "lists in lists": ("yaml", f"a: {'[' * 50_000}{']' * 50_000}\n"),
    "tables in tables": ("yaml", "".join(f"{' ' * depth}a:\n" for depth in range(500)) + " " * 500 + "b: 1\n"),
    "lists that never close": ("yaml", "[" * 200_000),
    "dashes in a line": ("yaml", "- " * 200_000),
    "keys that are lists": ("yaml", "? [a, b]\n: 1\nmodel: old\n"),
    "JSON, lists in lists": ("json", f'{{"a": {"[" * 100_000}{"]" * 100_000}}}'),
    "JSON, tables in tables": ("json", '{"a":' * 5000 + "1" + "}" * 5000),
    "JSON, a number of many digits": ("json", f'{{"a": {"1" * 100_000}, "model": "old"}}'),
    "TOML, lists in lists": ("toml", f"a = {'[' * 30_000}{']' * 30_000}\n"),
    "TOML, tables in tables": ("toml", f"a = {'{a=' * 10_000}1{'}' * 10_000}\n"),
    "TOML, a key of many parts": ("toml", f"a{'.a' * 30_000} = 1\n"),
    "TOML, a table of many parts": ("toml", f"[a{'.a' * 30_000}]\nb = 1\n"),
    "TOML, many dotted keys": ("toml", "".join(f"a.b.c.d{n} = 1\n" for n in range(4000))),
    "too long a text": ("toml", "# " + "x" * 2**16 + "\nmodel = 'old'\n"),
    "a million lines": ("env", "A=1\n" * 1_000_000),
}


@pytest.mark.parametrize("name", list(BOMBS))
@pytest.mark.timeout(20)
def test_a_text_that_means_far_more_than_it_is_long_is_refused_at_once(name):
    kind, text = BOMBS[name]
    began = time.process_time()
    with pytest.raises(ConfigTextError):
        with_value(text, kind, "model", "new")
    assert time.process_time() - began < 5.0  # a fifth of a second on a machine that is idle; hours without a limit


def test_aliases_and_merges_of_ordinary_size_are_no_reason_to_refuse():
    text = "base: &base {rate: 1, path: no}\nlist: [*base, *base]\nm:\n  <<: *base\n  model: old\n"
    assert with_value(text, "yaml", "m.model", "/new") == text.replace("old", "/new")
    with pytest.raises(ConfigTextError, match="safely"):  # it would change three values
        with_value(text, "yaml", "base.path", "/new")


def test_a_key_that_names_nothing_is_refused():
    for kind in ("json", "toml", "yaml", "env"):
        with pytest.raises(ConfigTextError):
            with_value({"json": "{}", "toml": "", "yaml": "", "env": ""}[kind], kind, ".", "new")


def test_formats_are_known_by_the_name():
    names = {"a.json": "json", "a.TOML": "toml", "a.yml": "yaml", ".env": "env", ".env.local": "env", "app.env": "env"}
    assert {name: format_of(name) for name in names} == names
    assert format_of("a.ini") is None
