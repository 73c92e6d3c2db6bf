import pytest

from beatsight_core.errors import SettingsError
from beatsight_core.taxonomy import (
    CORE,
    EXTENDED,
    GM_NOTES,
    NOTE_OF_COMPONENT,
    TAXONOMIES,
    suggestion,
    suggestions,
    taxonomy_named,
    velocity_bucket,
)


def test_class_order_of_the_core_set_never_changes():
    """A trained model's output `i` is this component; to change the order is to break every model there is."""
    assert CORE.components == (
        "kick", "snare", "rimshot", "cross_stick", "hihat_closed", "hihat_open", "hihat_pedal", "hihat_foot_splash",
        "ride_bow", "ride_bell", "crash", "crash2", "splash", "china", "tom_high", "tom_mid", "tom_low",
        "aux_percussion",
    )  # fmt: skip
    assert len(EXTENDED.components) == 24


@pytest.mark.parametrize("taxonomy", TAXONOMIES.values(), ids=lambda taxonomy: taxonomy.name)
def test_aliases_lead_to_components_and_hide_none(taxonomy):
    assert set(taxonomy.aliases.values()) <= set(taxonomy.components)
    assert not set(taxonomy.aliases) & set(taxonomy.components)
    assert taxonomy.resolve("china2") == "china"
    assert taxonomy.resolve("floor_tom_2") == "tom_low"
    assert taxonomy.resolve("cow") is None


def test_groups_hold_what_the_runbook_means():
    assert CORE.group("cymbals") == ("ride_bow", "ride_bell", "crash", "crash2", "splash", "china")
    assert CORE.group("toms") == ("tom_high", "tom_mid", "tom_low")
    assert CORE.group("core") == ("kick", "snare")
    assert len(CORE.group("hats")) == 4


def test_every_component_has_a_note_and_every_note_a_component():
    assert set(NOTE_OF_COMPONENT) >= set(CORE.components) | set(EXTENDED.components)
    assert set(GM_NOTES.values()) <= set(CORE.components)
    for component in CORE.components:
        assert GM_NOTES[NOTE_OF_COMPONENT[component]] == component


def test_buckets_are_inclusive_at_their_upper_end():
    assert [velocity_bucket(v) for v in (0.0, 0.25, 0.26, 0.5, 0.8, 0.81, 1.0)] == [
        "ghost", "ghost", "light", "light", "medium", "accent", "accent",
    ]  # fmt: skip


def test_unknown_taxonomy_is_a_settings_error():
    with pytest.raises(SettingsError, match="core, extended"):
        taxonomy_named("big")


HATS = "hihat_closed, hihat_open, hihat_pedal or hihat_foot_splash"


@pytest.mark.parametrize(
    ("label", "core", "extended"),
    [
        ("Kick", "kick", "kick"),
        ("bass drum", "kick", "kick"),
        ("36", "kick", "kick"),
        ("hi-hat", HATS, "hihat_closed, hihat_open, hihat_half, hihat_pedal or hihat_splash"),
        ("HH", HATS, "hihat_closed, hihat_open, hihat_half, hihat_pedal or hihat_splash"),
        ("Closed Hi-Hat", "hihat_closed", "hihat_closed"),
        ("ride", "ride_bow or ride_bell", "ride_bow, ride_bell or ride_edge"),
        ("tom1", "tom_high, tom_mid or tom_low", "tom_high, tom_mid or tom_low"),
        ("Floor Tom", "tom_low", "tom_low"),
        ("Snare Drum", "snare", "snare_center"),
        ("snaer", "snare", "snare_center"),
        ("crash_1", "crash", "crash_1"),
        ("snare_center", "snare", "snare_center"),
        ("cowbell", "aux_percussion", "cowbell"),
        ("clap", "aux_percussion", "clap"),
    ],
)
def test_a_label_that_is_not_known_gets_a_suggestion(label, core, extended):
    assert suggestion(label) == f"did you mean {core}?"
    assert suggestion(label, EXTENDED) == f"did you mean {extended}?"


@pytest.mark.parametrize("label", ["", "gong", "cow", "\N{DRUM WITH DRUMSTICKS}", "999", "7" * 5000, "x" * 100_000])
def test_nothing_is_suggested_where_nothing_is_near(label):
    assert suggestion(label) == ""
    assert suggestions([label, "Kick"], CORE) == {"Kick": "did you mean kick?"}


@pytest.mark.parametrize("taxonomy", TAXONOMIES.values(), ids=lambda taxonomy: taxonomy.name)
def test_each_component_of_the_other_set_gets_a_component_of_this_one(taxonomy):
    for other in TAXONOMIES.values():
        for label in other.components:
            if taxonomy.resolve(label) is None and label != "aux_percussion":
                assert suggestion(label, taxonomy), f"{label} in {taxonomy.name}"


def test_listed_rows_hold_every_alias_and_group_once():
    rows = {row["label"]: row for row in CORE.to_json()["components"]}
    assert list(rows) == list(CORE.components)
    assert rows["kick"] == {"class": 0, "label": "kick", "groups": ["core"], "note": 36, "aliases": []}
    assert rows["china"]["aliases"] == ["china2"]
    assert sorted(alias for row in rows.values() for alias in row["aliases"]) == sorted(CORE.aliases)
