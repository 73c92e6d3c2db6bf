"""Drum components: versioned sets in a fixed class order, aliases, groups, General MIDI notes, velocity buckets.

The class order is the order written here. It never depends on data: a model's output `i` means the same component for
ever, and a change of a set is a new version of it.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from beatsight_core.errors import SettingsError
from beatsight_core.typed_json import JsonObject

PROTECTED = ("kick", "snare", "crash")
"""The components that the runbook names: each has an F1 of its own to reach, and none may get worse than the
champion's. The extended set's spellings of them (snare_center, crash_1) are found by its aliases."""

MIN_POSITIVES = 20
"""A component with fewer reference hits is shown and not averaged."""


@dataclass(frozen=True)
class Taxonomy:
    """A set of components in class order.

    Attributes:
        name: Name of the set in settings.
        version: Number that grows with any change of components or aliases.
        components: Canonical labels; the position is the class index.
        aliases: Other spellings -> canonical label.
    """

    name: str
    version: int
    components: tuple[str, ...]
    aliases: dict[str, str]

    @cached_property
    def index(self) -> dict[str, int]:
        """Canonical label -> class index."""
        return {label: position for position, label in enumerate(self.components)}

    @cached_property
    def canonical(self) -> dict[str, str]:
        """Every accepted spelling -> canonical label."""
        return {**{label: label for label in self.components}, **self.aliases}

    def resolve(self, label: str) -> str | None:
        """Return the canonical form of a label, or None if this taxonomy does not know it."""
        return self.canonical.get(label)

    def group(self, name: str) -> tuple[str, ...]:
        """Return the components of this set that belong to a group of `GROUPS`, in class order."""
        prefixes = GROUPS[name]
        return tuple(label for label in self.components if label.startswith(prefixes))

    def groups_of(self, component: str) -> tuple[str, ...]:
        """Return the names of the groups that a component belongs to; of many there is none."""
        return tuple(name for name in GROUPS if component in self.group(name))

    def aliases_of(self, component: str) -> tuple[str, ...]:
        """Return the other spellings that mean a component."""
        return tuple(alias for alias, meant in self.aliases.items() if meant == component)

    def to_json(self) -> dict[str, Any]:
        """Return the set with a row for each component, as `beatsight taxonomy` lists it."""
        rows = [
            {
                "class": position,
                "label": label,
                "groups": list(self.groups_of(label)),
                "note": NOTE_OF_COMPONENT[label],
                "aliases": list(self.aliases_of(label)),
            }
            for position, label in enumerate(self.components)
        ]
        return {"name": self.name, "version": self.version, "components": rows}

    @property
    def identity(self) -> JsonObject:
        """Everything that determines labels, for digests and file metadata."""
        return {"name": self.name, "version": self.version, "components": [*self.components]}


GROUPS: dict[str, tuple[str, ...]] = {
    "cymbals": ("ride", "crash", "splash", "china"),
    "toms": ("tom_",),
    "hats": ("hihat_",),
    "core": ("kick", "snare"),
}
"""Group -> label prefixes."""

_TOM_ALIASES = {"tom_floor": "tom_low", "tom_floor2": "tom_low", "tom_low2": "tom_low", "floor_tom_2": "tom_low"}

CORE = Taxonomy(
    name="core",
    version=1,
    components=(
        "kick", "snare", "rimshot", "cross_stick", "hihat_closed", "hihat_open", "hihat_pedal", "hihat_foot_splash",
        "ride_bow", "ride_bell", "crash", "crash2", "splash", "china", "tom_high", "tom_mid", "tom_low",
        "aux_percussion",
    ),
    aliases={"china2": "china", **_TOM_ALIASES},
)  # fmt: skip

EXTENDED = Taxonomy(
    name="extended",
    version=1,
    components=(
        "kick", "snare_center", "snare_rimshot", "snare_cross_stick", "snare_off", "hihat_closed", "hihat_open",
        "hihat_half", "hihat_pedal", "hihat_splash", "tom_high", "tom_mid", "tom_low", "ride_bow", "ride_bell",
        "ride_edge", "crash_1", "crash_2", "china", "splash", "cowbell", "tambourine", "clap", "shaker",
    ),
    aliases={
        "china2": "china", **_TOM_ALIASES,
        "snare": "snare_center", "rimshot": "snare_rimshot", "cross_stick": "snare_cross_stick",
        "crash": "crash_1", "crash2": "crash_2", "hihat_foot_splash": "hihat_splash",
    },
)  # fmt: skip

TAXONOMIES = {taxonomy.name: taxonomy for taxonomy in (CORE, EXTENDED)}

GM_NOTES: dict[int, str] = {
    35: "kick", 36: "kick", 37: "cross_stick", 38: "snare", 39: "rimshot", 40: "rimshot", 41: "tom_low",
    42: "hihat_closed", 43: "tom_low", 44: "hihat_pedal", 45: "tom_mid", 46: "hihat_open", 47: "tom_mid",
    48: "tom_high", 49: "crash", 50: "tom_high", 51: "ride_bow", 52: "china", 53: "ride_bell", 54: "aux_percussion",
    55: "splash", 56: "aux_percussion", 57: "crash2", 58: "tom_low", 59: "ride_bow", 22: "hihat_closed",
    26: "hihat_foot_splash",
}  # fmt: skip
"""General MIDI percussion note -> core component (22 and 26 as Roland kits send them)."""

NOTE_OF_COMPONENT: dict[str, int] = {
    "kick": 36, "snare": 38, "rimshot": 40, "cross_stick": 37, "hihat_closed": 42, "hihat_open": 46, "hihat_pedal": 44,
    "hihat_foot_splash": 26, "ride_bow": 51, "ride_bell": 53, "crash": 49, "crash2": 57, "splash": 55, "china": 52,
    "tom_high": 50, "tom_mid": 47, "tom_low": 43, "aux_percussion": 54,
    "snare_center": 38, "snare_rimshot": 40, "snare_cross_stick": 37, "snare_off": 38, "hihat_half": 46,
    "hihat_splash": 26, "ride_edge": 59, "crash_1": 49, "crash_2": 57, "cowbell": 56, "tambourine": 54, "clap": 39,
    "shaker": 70,
}  # fmt: skip
"""Component -> the General MIDI note it is written as; GM's 57 (crash 2) keeps the second crash apart."""

_CYMBALS = ("ride", "crash", "splash", "china")

_OTHER_WORDS: dict[str, tuple[str, ...]] = {
    "bassdrum": ("kick",), "bass": ("kick",), "bd": ("kick",), "kickdrum": ("kick",),
    "snaredrum": ("snare",), "sd": ("snare",), "sn": ("snare",),
    "rim": ("rimshot", "cross_stick"), "rimclick": ("cross_stick",), "sidestick": ("cross_stick",),
    "hh": ("hihat",), "hat": ("hihat",), "hats": ("hihat",), "hihats": ("hihat",),
    "chh": ("hihat_closed",), "closedhat": ("hihat_closed",), "hhc": ("hihat_closed",),
    "ohh": ("hihat_open",), "openhat": ("hihat_open",), "hho": ("hihat_open",),
    "phh": ("hihat_pedal",), "pedalhat": ("hihat_pedal",), "foothat": ("hihat_pedal",), "hhp": ("hihat_pedal",),
    "footsplash": ("hihat_foot_splash",), "bell": ("ride_bell",),
    "floortom": ("tom_low",), "racktom": ("tom_high", "tom_mid"), "toms": ("tom",), "tomtom": ("tom",),
    "cymbal": _CYMBALS, "cymbals": _CYMBALS, "ridecymbal": ("ride",), "crashcymbal": ("crash",),
    "splashcymbal": ("splash",), "chinacymbal": ("china",),
    "clap": ("aux_percussion",), "handclap": ("clap", "aux_percussion"), "percussion": ("aux_percussion",),
}  # fmt: skip
"""Common words without blanks and dashes -> the labels meant, in either set, or how these labels begin."""

VELOCITY_BUCKETS: tuple[tuple[str, float], ...] = (("ghost", 0.25), ("light", 0.5), ("medium", 0.8), ("accent", 1.0))
"""Bucket -> its inclusive upper velocity."""


def taxonomy_named(name: str) -> Taxonomy:
    """Return the taxonomy that settings call `name`.

    Raises:
        SettingsError: No taxonomy has that name.
    """
    try:
        return TAXONOMIES[name]
    except KeyError:
        known = ", ".join(sorted(TAXONOMIES))
        raise SettingsError(f"There is no taxonomy {name!r}", do=f"set `taxonomy` to one of {known}") from None


def velocity_bucket(velocity: float) -> str:
    """Return the dynamic bucket of a velocity in 0..1."""
    return next((name for name, upper in VELOCITY_BUCKETS if velocity <= upper), VELOCITY_BUCKETS[-1][0])


def suggestion(label: str, taxonomy: Taxonomy = CORE) -> str:
    """Return a question such as "did you mean kick?" for a label that the taxonomy lacks.

    Args:
        label: Label as it was written: "Kick", "hi-hat", "Closed Hi-Hat", "bass drum", or a General MIDI note, "36".
        taxonomy: Set that lacks the label.

    Returns:
        The question with all components that may be meant, in class order; an empty text where none is near.
    """
    meant = _meant(label, taxonomy)
    if not meant:
        return ""
    first, last = ", ".join(meant[:-1]), meant[-1]
    return f"did you mean {f'{first} or {last}' if first else last}?"


def suggestions(labels: Iterable[str], taxonomy: Taxonomy) -> dict[str, str]:
    """Return the suggestion for each label that has one."""
    return {label: said for label in labels if (said := suggestion(label, taxonomy))}


def _meant(label: str, taxonomy: Taxonomy) -> list[str]:
    """Return the components that a label may mean, in class order, by the first rule that finds any."""
    words = _words(re.sub(r"hi[\W_]*hat", "hihat", label.lower()))
    plain, family = "".join(words), "".join(word for word in words if word.isalpha())
    note = GM_NOTES.get(int(plain)) if plain.isdecimal() and len(plain) < 4 else None
    of_other_set = GM_NOTES.get(NOTE_OF_COMPONENT[label], "aux_percussion") if label in NOTE_OF_COMPONENT else None
    rules = (
        [note] if note else (),
        [spelling for spelling in taxonomy.canonical if spelling.replace("_", "") == plain],
        [spelling for spelling in taxonomy.canonical if sorted(_words(spelling)) == sorted(words)],
        _OTHER_WORDS.get(plain, ()),
        [of_other_set] if of_other_set else (),
        [family] if family else (),
        difflib.get_close_matches("_".join(words), taxonomy.canonical, 1, 0.8),
    )
    found = (_components(rule, taxonomy) for rule in rules)
    return next((components for components in found if components), [])


def _words(text: str) -> list[str]:
    """Return the words and numbers of a lower-case text."""
    return re.findall(r"[a-z]+|\d+", text)


def _components(names: Iterable[str], taxonomy: Taxonomy) -> list[str]:
    """Return the components that these names are, or else begin, in class order."""
    found: set[str] = set()
    for name in names:
        known = taxonomy.resolve(name)
        found |= {known} if known else {label for label in taxonomy.components if label.startswith(f"{name}_")}
    return sorted(found, key=taxonomy.components.index)
