import pytest

from beatsight_core.errors import SettingsError
from beatsight_core.taxonomy import (
    CORE,
    EXTENDED,
    GM_NOTES,
    NOTE_OF_COMPONENT,
    TAXONOMIES,
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
