import os
from pathlib import Path

import pytest

from beatsight_core.audio.roots import (
    Listings,
    Status,
    holds_anything,
    mounted_roots,
    require_root,
    resolve_audio,
)
from beatsight_core.errors import AudioError
from beatsight_core.settings import SourceSet


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, Path]:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    return first, second


@pytest.fixture
def source(roots) -> SourceSet:
    return SourceSet("kits", roots=roots)


def put(path: Path, text: str = "audio") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_first_root_that_has_it_wins(roots, source):
    put(roots[1] / "a/x.wav")
    found = resolve_audio(source, "a/x.wav")
    assert (found.status, found.root, found.path) == (Status.OK, roots[1], roots[1] / "a/x.wav")
    assert found.size == 5
    put(roots[0] / "a/x.wav")
    assert resolve_audio(source, "a/x.wav").root == roots[0]


def test_what_is_nowhere_is_missing(source):
    assert resolve_audio(source, "a/x.wav").status is Status.MISSING


def test_names_match_in_case_and_the_message_says_so(roots, source):
    put(roots[0] / "Kit/Take.wav")
    for wrong in ("kit/Take.wav", "Kit/take.wav", "Kit/Take.WAV"):
        found = resolve_audio(source, wrong)
        assert found.status is Status.MISSING
        assert "differs in upper and lower case" in found.message
    assert resolve_audio(source, "Kit/Take.wav").status is Status.OK


def test_names_are_compared_with_listings_not_asked_of_the_drive(roots, source):
    # A drive that ignores case would answer yes to exists(); a listing tells the real name.
    listings = Listings()
    path = put(roots[0] / "x.wav")
    assert listings.names(str(roots[0])) == {"x.wav": False}
    path.rename(roots[0] / "X.wav")
    assert resolve_audio(source, "X.wav", listings).status is Status.MISSING
    assert resolve_audio(source, "X.wav").status is Status.OK


@pytest.mark.parametrize("path", ["../x.wav", "a/../../x.wav", "a/..", "/etc/passwd", "", ".", "a\0b"])
def test_paths_that_could_leave_a_root_are_unsafe(path, source):
    assert resolve_audio(source, path).status is Status.UNSAFE


def test_a_link_that_leaves_its_root_is_unsafe(tmp_path, roots, source):
    put(tmp_path / "secret/x.wav")
    (roots[0] / "x.wav").symlink_to(tmp_path / "secret/x.wav")
    (roots[0] / "folder").symlink_to(tmp_path / "secret")
    for path in ("x.wav", "folder/x.wav"):
        assert resolve_audio(source, path).status is Status.UNSAFE


def test_a_folder_outside_its_root_is_not_even_listed(tmp_path, roots, source, monkeypatch):
    put(tmp_path / "secret/deep/x.wav")
    (roots[0] / "folder").symlink_to(tmp_path / "secret")
    listed = []
    scandir = os.scandir
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", lambda folder: listed.append(os.path.realpath(folder)) or scandir(folder))
        assert resolve_audio(source, "folder/deep/x.wav").status is Status.UNSAFE
    assert listed
    assert not [folder for folder in listed if "secret" in folder]


def test_a_link_beside_a_root_with_the_same_start_is_unsafe(tmp_path, roots, source):
    put(tmp_path / "first-not/x.wav")
    (roots[0] / "x.wav").symlink_to(tmp_path / "first-not/x.wav")
    assert resolve_audio(source, "x.wav").status is Status.UNSAFE


def test_a_link_inside_its_root_is_followed(roots, source):
    put(roots[0] / "real/x.wav")
    (roots[0] / "alias").symlink_to(roots[0] / "real")
    assert resolve_audio(source, "alias/x.wav").status is Status.OK


def test_a_root_may_itself_be_a_link(tmp_path):
    put(tmp_path / "drive/x.wav")
    (tmp_path / "raw").symlink_to(tmp_path / "drive")
    assert resolve_audio(SourceSet("kits", roots=(tmp_path / "raw",)), "x.wav").status is Status.OK


def test_a_path_that_is_unsafe_in_one_root_is_found_in_the_next(tmp_path, roots, source):
    put(tmp_path / "secret.wav")
    (roots[0] / "x.wav").symlink_to(tmp_path / "secret.wav")
    put(roots[1] / "x.wav")
    assert resolve_audio(source, "x.wav").root == roots[1]


def test_what_is_no_regular_file_is_not_opened(roots, source):
    (roots[0] / "folder.wav").mkdir()
    os.mkfifo(roots[0] / "pipe.wav")
    (roots[0] / "loop.wav").symlink_to(roots[0] / "loop.wav")
    (roots[0] / "gone.wav").symlink_to(roots[0] / "nowhere.wav")
    assert resolve_audio(source, "folder.wav").status is Status.UNREADABLE
    assert resolve_audio(source, "pipe.wav").status is Status.UNREADABLE
    assert resolve_audio(source, "loop.wav").status is Status.UNREADABLE
    assert resolve_audio(source, "gone.wav").status is Status.MISSING


def test_a_file_used_as_a_folder_is_missing(roots, source):
    put(roots[0] / "x.wav")
    assert resolve_audio(source, "x.wav/y.wav").status is Status.MISSING


def test_roots_say_whether_they_are_there(tmp_path, roots):
    put(tmp_path / "file")
    source = SourceSet("kits", roots=(roots[0], tmp_path / "away", tmp_path / "file"))
    assert [status.mounted for status in mounted_roots(source)] == [True, False, False]


def test_links_that_run_in_circles_end(tmp_path, roots, source):
    put(roots[0] / "a/x.wav")
    (roots[0] / "a/up").symlink_to(roots[0])
    (roots[0] / "one").symlink_to(roots[0] / "two")
    (roots[0] / "two").symlink_to(roots[0] / "one")
    (roots[0] / "out").symlink_to(tmp_path)
    assert resolve_audio(source, "a/up/a/up/a/x.wav").status is Status.OK
    assert resolve_audio(source, "one/x.wav").status is Status.MISSING
    assert resolve_audio(source, "one").status is Status.UNREADABLE
    assert resolve_audio(source, "out/first/a/x.wav").status is Status.UNSAFE  # out, though in again
    put(tmp_path / "second-not/x.wav")
    assert resolve_audio(source, "out/second-not/x.wav").status is Status.UNSAFE


def test_names_that_differ_in_case_only_are_different_files(roots, source):
    upper, lower = put(roots[0] / "Kick.wav", "one"), put(roots[0] / "kick.wav", "other")
    assert resolve_audio(source, "Kick.wav").path == upper
    assert resolve_audio(source, "kick.wav").path == lower
    found = resolve_audio(source, "KICK.wav")
    assert found.status is Status.MISSING
    assert "differs in upper and lower case" in found.message


def test_a_root_that_was_unmounted_holds_nothing(tmp_path, roots):
    put(roots[0] / "x.wav")
    require_root(roots[0])
    for root in (roots[1], tmp_path / "gone"):
        assert not holds_anything(root)
        with pytest.raises(AudioError, match="vanished") as error:
            require_root(root)
        assert error.value.where == str(root)


COMPOSED, APART = "Schl\u00e4gel \u00e9.wav", "Schla\u0308gel e\u0301.wav"


@pytest.mark.parametrize(("asked", "there"), [(COMPOSED, APART), (APART, COMPOSED)])
def test_a_name_in_another_unicode_form_is_the_same_name(roots, source, asked, there):
    put(roots[0] / "\u00c5/b" / there)
    for folder in ("\u00c5", "A\u030a", "\u212b"):  # the last one is the sign of the unit
        found = resolve_audio(source, f"{folder}/b/{asked}")
        assert (found.status, found.path) == (Status.OK, roots[0] / "\u00c5/b" / there)
        assert found.name == f"\u00c5/b/{there}"


def test_of_two_forms_the_one_that_is_asked_for_wins(roots, source):
    put(roots[0] / COMPOSED, "one")
    put(roots[0] / APART, "another")
    assert resolve_audio(source, COMPOSED).size == 3
    assert resolve_audio(source, APART).size == 7
    neither = resolve_audio(source, "Schl\u00e4gel e\u0301.wav")
    assert neither.status is Status.MISSING
    assert "2 names" in neither.message
    assert "Unicode" in neither.message


def test_names_that_only_look_alike_are_others(roots, source):
    put(roots[0] / "\ufb01ll.wav")  # a ligature
    put(roots[0] / "\u0430.wav")  # a Cyrillic letter
    assert resolve_audio(source, "fill.wav").status is Status.MISSING
    assert resolve_audio(source, "a.wav").status is Status.MISSING


def test_case_is_hinted_at_in_any_form(roots, source):
    put(roots[0] / APART.upper())
    found = resolve_audio(source, COMPOSED)
    assert found.status is Status.MISSING
    assert "differs in upper and lower case" in found.message
