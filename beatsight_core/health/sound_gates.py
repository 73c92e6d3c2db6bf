"""Gates over how clips sound, of each source set: clipped, offset, silent, late or early."""

from collections.abc import Mapping
from typing import Any

from beatsight_core.health.gate import Gate, at_most
from beatsight_core.health.profiles import Profile
from beatsight_core.health.sound_figures import FEWEST
from beatsight_core.health.sound_measures import SEARCH_MS
from beatsight_core.pages.formats import shown

GROUP = "sound"

LEAST_HEARD = 0.25
"""Of the strokes that stand alone. Soft ones hide their beginning: of recorded kits every second shows it."""


def sound_gates(statistics: Mapping[str, Any], limits: Profile) -> list[Gate]:
    """Hold the sound of every source set against its limits.

    Args:
        statistics: With `sound` and `export`; nothing is judged before an export.
        limits: Of the corpus.
    """
    if statistics["sound"] is None:
        return []
    gates = []
    for name, sound in statistics["sound"]["by_source"].items():
        gates += [
            _share_gate(f"clipped clips of {name}", sound, "clipped", limits.max_clipped_rate),
            _share_gate(f"clips of {name} with an offset", sound, "offset", limits.max_offset_rate),
            _silence_gate(name, statistics["export"]["levels"]["by_source"].get(name), limits.max_silent_rate),
            _alignment_gate(name, sound["alignment"], limits.max_misalignment_ms),
        ]
    return [gate for gate in gates if gate is not None]


_WHAT = {
    "clipped": (
        "have a run of samples at full scale",
        "take the recording before it was made loud, or leave its sessions out",
    ),
    "offset": (
        "do not swing around zero (more than -40 dB of full scale away)",
        "filter the recording below 20 Hz, or leave its sessions out",
    ),
}


def _share_gate(name: str, sound: Mapping[str, Any], key: str, limit: float) -> Gate:
    found, do = _WHAT[key]
    share = sound[key] / sound["measured"] if sound["measured"] else 0.0
    return at_most(
        name, GROUP, share, limit, format="share", do=do,
        found=f"{shown(sound[key], 'count')} of {shown(sound['measured'], 'count')} measured clips {found}",
    )  # fmt: skip


def _silence_gate(name: str, levels: Mapping[str, Any] | None, limit: float) -> Gate | None:
    if levels is None:  # a source set without a clip
        return None
    share = levels["silent"] / levels["labelled"] if levels["labelled"] else 0.0
    return at_most(
        f"clips of {name} that are nearly silent", GROUP, share, limit, format="share",
        found=f"{shown(levels['silent'], 'count')} of {shown(levels['labelled'], 'count')} clips with a label stay "
        "below -60 dB of full scale",
        do="look whether its labels belong to that audio, or leave muted tracks out",
    )  # fmt: skip


def _alignment_gate(name: str, alignment: Mapping[str, Any], limit: float) -> Gate | None:
    """None where too few strokes stand alone: the report says so.

    Where enough do and hardly any begins near its label, nothing could be measured. That fails: a corpus that is so
    late that it cannot be measured is no better than one that is late.
    """
    median, alone, heard = alignment["median_ms"], alignment["alone"], alignment["strokes"]
    if alone >= FEWEST and heard < LEAST_HEARD * alone:
        return at_most(
            f"misalignment of {name}, ms", GROUP, None, limit, format="decimal",
            found=f"Only {shown(heard, 'count')} of {shown(alone, 'count')} strokes of {name} that stand alone begin "
            f"within {shown(SEARCH_MS, 'number')} ms of their label",
            do="find out whether its labels belong to that audio; a dataset exported long ago is to be exported again",
        )  # fmt: skip
    if median is None:
        return None
    side = "late" if median > 0 else "early"
    return at_most(
        f"misalignment of {name}, ms", GROUP, abs(median), limit, format="decimal",
        found=f"{name} sounds {shown(abs(median), 'decimal')} ms {side}: the middle of "
        f"{shown(alignment['strokes'], 'count')} strokes that stand alone",
        do="shift the onsets of its labels, or find out what delayed its audio",
    )  # fmt: skip
