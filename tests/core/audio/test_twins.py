"""One path in two roots: the first is used, and that it hides another is said."""

import dataclasses
import os

import pytest
import soundfile as sf

from beatsight_core.audio import twins
from beatsight_core.audio.inventory import build_inventory, open_inventory
from beatsight_core.dataset.verify_export import verify_manifest
from beatsight_core.settings import SourceSet


@pytest.fixture
def roots(settings, tmp_path):
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    for root in (first, second, third):
        root.mkdir()
        (root / "kept.txt").write_text("so that the folder is a root")
    source = SourceSet("kits", roots=(first, second, third))
    return dataclasses.replace(settings, sources={"kits": source}), first, second, third


def put(path, samples):
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, samples, 44100)


def hidden(inventory) -> list[tuple[str, str]]:
    return [(file["audio_path"], file["hidden_root"]) for file in inventory.to_json()["hidden_files"]]


@pytest.mark.parametrize("deep", [False, True])
def test_another_length_is_other_content(roots, catalog, noise, deep):
    settings, first, second, _ = roots
    put(first / "sub/a.wav", noise(4410))
    put(second / "sub/a.wav", noise(4411))
    inventory = build_inventory(settings, catalog(("kits", "sub/a.wav", 0.0)), deep=deep)
    assert hidden(inventory) == [("sub/a.wav", str(second))]
    assert inventory.files["root"].to_list() == [str(first)]
    (said,) = inventory.to_json()["hidden_files"]
    assert said["why"] == f"also in {second}, with other content: that of {first} is used"
    assert inventory.to_json()["hidden"] == 1


@pytest.mark.parametrize("deep", [False, True])
def test_the_same_content_is_of_no_interest(roots, catalog, noise, deep):
    settings, first, second, third = roots
    for root in (first, second, third):
        put(root / "a.wav", noise(4410))
    assert hidden(build_inventory(settings, catalog(("kits", "a.wav", 0.0)), deep=deep)) == []


def test_one_length_and_other_samples_show_in_a_sample(roots, catalog, noise):
    settings, first, second, third = roots
    put(first / "a.wav", noise(4410))
    put(second / "a.wav", noise(4410))
    put(third / "a.wav", noise(4410, seed=1))
    assert hidden(build_inventory(settings, catalog(("kits", "a.wav", 0.0)))) == [("a.wav", str(third))]


def test_what_no_sample_shows_a_deep_look_finds(roots, catalog, noise):
    settings, first, second, _ = roots
    samples = noise(1_000_000)
    put(first / "a.wav", samples)
    samples[100_000] = -samples[100_000]
    put(second / "a.wav", samples)
    built = catalog(("kits", "a.wav", 0.0))
    assert hidden(build_inventory(settings, built)) == []
    assert hidden(build_inventory(settings, built, deep=True)) == [("a.wav", str(second))]
    assert hidden(build_inventory(settings, built)) == [("a.wav", str(second))]  # what was learned stays known
    assert hidden(open_inventory(settings, built)) == [("a.wav", str(second))]


def test_what_was_compared_is_not_read_again_while_it_stays(roots, catalog, noise, monkeypatch):
    settings, first, second, _ = roots
    for root in (first, second):
        put(root / "a.wav", noise(4410))
    built = catalog(("kits", "a.wav", 0.0))
    build_inventory(settings, built)
    asked = []
    monkeypatch.setattr(twins, "_sampled", lambda path, size: asked.append(path) or str(path))
    assert hidden(build_inventory(settings, built)) == []
    assert asked == []
    os.utime(second / "a.wav", ns=(1, 1))
    build_inventory(settings, built)
    assert asked == [second / "a.wav"]


def test_the_same_file_by_two_ways_is_one(roots, catalog, noise):
    settings, first, second, _ = roots
    put(first / "a.wav", noise(4410))
    os.link(first / "a.wav", second / "a.wav")
    inside = SourceSet("kits", roots=(first, first))
    assert hidden(build_inventory(settings, catalog(("kits", "a.wav", 0.0)))) == []
    nested = dataclasses.replace(settings, sources={"kits": inside})
    assert hidden(build_inventory(nested, catalog(("kits", "a.wav", 0.0)))) == []


def test_a_second_root_that_cannot_be_read_stops_nothing(roots, catalog, noise):
    settings, first, second, third = roots
    put(first / "a.wav", noise(4410))
    (second / "a.wav").mkdir()
    put(third / "a.wav", noise(99))
    assert hidden(build_inventory(settings, catalog(("kits", "a.wav", 0.0)))) == [("a.wav", str(third))]


def test_verify_says_it(roots, catalog, noise):
    settings, first, second, _ = roots
    put(first / "a.wav", noise(4410))
    put(second / "a.wav", noise(99))
    built = catalog(("kits", "a.wav", 0.0))
    result = verify_manifest(settings, built.key)
    assert (result.hidden, [file.hidden_root for file in result.hidden_files]) == (1, [str(second)])
