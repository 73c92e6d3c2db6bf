"""The colours of the style sheet hold WCAG's contrast: 4.5 for text, 3 for drawings, light and dark."""

import re
from pathlib import Path

import pytest

import beatsight_core.pages

CSS = (Path(beatsight_core.pages.__file__).parent / "templates" / "style.css").read_text(encoding="utf-8")
TEXT = [
    ("ink", "page"), ("ink", "card"), ("ink", "track"), ("soft", "page"), ("soft", "card"), ("accent", "card"),
    ("pass", "pass-back"), ("warn", "warn-back"), ("fail", "fail-back"), ("info", "info-back"),
    ("pass", "card"), ("warn", "card"), ("fail", "card"), ("ink", "heat-full"),
]  # fmt: skip
DRAWN = [(tone, "card") for tone in ("tone-1", "tone-2", "tone-3", "tone-4", "tone-5", "tone-6", "tone-none")] + [
    ("step-2", "card"), ("step-3", "card"), ("step-4", "card"), ("pass", "track"), ("fail", "track"),
]  # fmt: skip


def palette(scheme):
    light, dark = re.findall(r":root \{(.*?)\}", CSS, re.S)
    values = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", light))
    if scheme == "dark":
        values |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", dark))
    return {name: tuple(int(value[i : i + 2], 16) / 255 for i in (1, 3, 5)) for name, value in values.items()}


def luminance(colour):
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_and_drawings_can_be_seen(scheme):
    colours = palette(scheme)
    faint = {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in TEXT}
    assert {pair: value for pair, value in faint.items() if value < 4.5} == {}
    dim = {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in DRAWN}
    assert {pair: value for pair, value in dim.items() if value < 3.0} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_figures_in_a_heat_map_can_be_read_at_every_heat(scheme):
    colours = palette(scheme)
    for step in range(101):
        heat = step / 100
        cell = tuple(
            heat * full + (1 - heat) * card for full, card in zip(colours["heat-full"], colours["card"], strict=True)
        )
        assert contrast(cell, colours["ink"]) >= 4.5, (scheme, heat)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_dynamic_buckets_are_an_ordered_ramp(scheme):
    colours = palette(scheme)
    steps = [contrast(colours[f"step-{step}"], colours["card"]) for step in (1, 2, 3, 4)]
    assert steps == sorted(steps)


def test_both_schemes_define_the_same_colours():
    light, dark = re.findall(r":root \{(.*?)\}", CSS, re.S)
    assert set(re.findall(r"--([\w-]+):", light)) == set(re.findall(r"--([\w-]+):", dark))
