"""Drum components: versioned sets in a fixed class order, aliases, groups, General MIDI notes, velocity buckets.

The class order is the order written here. It never depends on data: a model's output `i` means the same component for
ever, and a change of a set is a new version of it.
"""

from dataclasses import dataclass
from functools import cached_property

from beatsight_core.errors import SettingsError


@dataclass(frozen=True)
class Taxonomy:
    """A set of components in class order.

    Attributes:
        name: How settings call it.
        version: Grows with any change of components or aliases.
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
        """The canonical form of a label, or None if this taxonomy does not know it."""
        return self.canonical.get(label)

    def group(self, name: str) -> tuple[str, ...]:
        """The components of this set that belong to a group of `GROUPS`, in class order."""
        prefixes = GROUPS[name]
        return tuple(label for label in self.components if label.startswith(prefixes))

    @property
    def identity(self) -> dict[str, object]:
        """What determines labels, for digests and file metadata."""
        return {"name": self.name, "version": self.version, "components": list(self.components)}


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

VELOCITY_BUCKETS: tuple[tuple[str, float], ...] = (("ghost", 0.25), ("light", 0.5), ("medium", 0.8), ("accent", 1.0))
"""Bucket -> its inclusive upper velocity."""


def taxonomy_named(name: str) -> Taxonomy:
    """The taxonomy that settings call `name`.

    Raises:
        SettingsError: There is none of that name.
    """
    try:
        return TAXONOMIES[name]
    except KeyError:
        known = ", ".join(sorted(TAXONOMIES))
        raise SettingsError(f"There is no taxonomy {name!r}", do=f"set `taxonomy` to one of {known}") from None


def velocity_bucket(velocity: float) -> str:
    """The dynamic bucket of a velocity in 0..1."""
    return next((name for name, upper in VELOCITY_BUCKETS if velocity <= upper), VELOCITY_BUCKETS[-1][0])
