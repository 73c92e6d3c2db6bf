"""File names: none leads elsewhere, none is another's, ordinary ones stay what they are."""

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beatsight_core.names import LONGEST, file_name, lock_names, place_in

HOSTILE = st.one_of(
    st.text(st.characters(codec=None), max_size=12),  # lone surrogates, too
    st.text(st.sampled_from("cCoOnN.%-aA~ :/0\u0130"), max_size=8),
    st.text(st.sampled_from("aA\u00e9"), min_size=45, max_size=200),
    st.sampled_from(["", ".", "..", "CON", "nul.txt", "com1", "...", " ", "%", "%2E", "-rf", "~"]),
)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("kit", "kit"), ("EGMD", "EGMD"), ("drums_v2.1-final", "drums_v2.1-final"), ("a b", "a b"),
        ("x=1,y@2+3", "x=1,y@2+3"),
        ("events.tmp-run-20251109", "events.tmp-run-20251109"), ("~me", "~me"),
        ("concert", "concert"), ("com10", "com10"),
        ("a/b", "a%2Fb"), ("50%", "50%25"), ("Schl\u00e4ge", "Schl%C3%A4ge"), ("a\nb\0", "a%0Ab%00"),
        ("\u9332" * 40, "%E9%8C%B2" * 11 + "%-6af47c6f4cfae9b2"),
    ],
)  # fmt: skip
def test_ordinary_names_are_what_they_always_were(text, name):
    assert file_name(text) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", "%"), (".", "%2E"), ("..", "%2E%2E"), (".hidden", "%2Ehidden"), ("a.", "a%2E"),
        ("a ", "a%20"), ("\udcff", "%ED%B3%BF"),
        ("CON", "%43%4F%4E"), ("aux.wav", "%61%75%78.wav"), ("Lpt1 .x", "%4C%70%74%31 .x"),
        (".a.tmp-01234567-1-89abcdef", "%2Ea%2Etmp-01234567-1-89abcdef"),
        ("a.tmp-01234567-1-89abcdef-old", "a%2Etmp-01234567-1-89abcdef-old"),
    ],
)  # fmt: skip
def test_names_that_mean_something_somewhere_are_spelt(text, name):
    assert file_name(text) == name


@given(st.lists(HOSTILE, min_size=2, max_size=8, unique=True))
def test_different_texts_have_different_names_that_every_file_system_takes(texts):
    texts = list(dict.fromkeys([*texts, *map(file_name, texts)]))  # a name is a text, too
    names = [file_name(text) for text in texts]
    assert len(set(names)) == len(texts)
    for name in names:
        assert re.fullmatch(r"[ +,=@%~_.0-9A-Za-z-]+", name)
        assert len(name) <= LONGEST
        assert name[0] != "."
        assert name[-1] not in ". "
        assert name.partition(".")[0].strip().lower() not in ("con", "prn", "aux", "nul", "com1", "lpt9")


@pytest.mark.parametrize("long", ["x" * 151, "X" * 400, "." + "y" * 200, "a-" * 100])
def test_the_name_of_a_long_text_is_not_that_of_a_short_one(long):
    assert len(file_name(long)) <= LONGEST
    assert file_name(file_name(long)) != file_name(long)
    assert file_name(f".{file_name(long)}"[:-2]) != file_name(long)


@given(st.lists(HOSTILE, min_size=2, max_size=6, unique=True), st.sampled_from(["", ".json"]))
def test_no_two_texts_meet_on_a_drive_that_ignores_case(tmp_path_factory, texts, suffix):
    folder = tmp_path_factory.mktemp("names")
    texts = list(dict.fromkeys([*texts, *(text.swapcase() for text in texts), *(text.lower() for text in texts)]))
    places = {}
    for text in texts:
        places[text] = place_in(folder, text, suffix)
        places[text].touch()
    assert len({path.name.casefold() for path in places.values()}) == len(texts)
    assert {text: place_in(folder, text, suffix) for text in texts} == places
    assert {path.parent for path in places.values()} == {folder}


def test_who_came_first_keeps_the_plain_name(tmp_path):
    assert place_in(tmp_path, "Kit", ".json").name == "Kit.json"
    (tmp_path / "kit.json").touch()
    assert place_in(tmp_path, "kit", ".json").name == "kit.json"
    assert place_in(tmp_path, "Kit", ".json").name == "%4B%69%74.json"


@pytest.mark.parametrize("text", ["v1.", "con", ".hidden", "a "])
def test_what_an_earlier_version_named_otherwise_is_found(tmp_path, text):
    (tmp_path / f"{text}.json").touch()
    assert place_in(tmp_path, text, ".json") == tmp_path / f"{text}.json"
    assert place_in(tmp_path / "elsewhere", text, ".json").name == f"{file_name(text)}.json"


def test_an_earlier_versions_name_never_leads_to_what_is_anothers(tmp_path):
    long = "\u00e9" * 60
    (tmp_path / file_name(long)).touch()
    assert place_in(tmp_path, file_name(long)) != tmp_path / file_name(long)


def test_source_sets_that_differ_in_case_only_share_a_lock_and_nobody_waits_for_himself():
    assert lock_names(["b", "Kit", "kit", ".", ".."]) == ["%2e", "%2e%2e", "b", "kit"]
    assert all(os.sep not in name for name in lock_names(["a/b", "../c"]))
