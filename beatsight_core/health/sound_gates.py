"""Gates over how clips sound, of each source set: clipped, offset, silent, late or early."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from beatsight_core.gates.corpus_limits import Profile
from beatsight_core.gates.gate import Gate, at_most
from beatsight_core.health.figures.session_figures import judged_sessions, outlying
from beatsight_core.health.figures.session_shifts import DRIFTS, EARLY, LATE, LOST
from beatsight_core.health.figures.sound_figures import FEWEST
from beatsight_core.health.figures.sound_measures import SEARCH_MS
from beatsight_core.pages.formats import shown

GROUP = "sound"

ALIKE_MS, MOST = 5.0, 0.9
"""If so many of the judged sessions are out of time by the same, one number mends them."""

NAMED = 3
"""Recordings out of time that the gate names; the report has all."""

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
            _share_gate(f"clipped clips of {name}", sound, "clipped", limits),
            _share_gate(f"clips of {name} with an offset", sound, "offset", limits),
            _silence_gate(name, statistics["export"]["levels"]["by_source"].get(name), limits.max_silent_rate),
            _alignment_gate(name, sound["alignment"], limits.max_misalignment_ms),
            _sessions_gate(name, sound["sessions"], limits),
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


def _share_gate(name: str, sound: Mapping[str, Any], key: str, limits: Profile) -> Gate:
    found, do = _WHAT[key]
    share = sound[key] / sound["measured"] if sound["measured"] else 0.0
    return at_most(
        name, GROUP, share, getattr(limits, f"max_{key}_rate"), format="share", do=do, setting=f"gates.max_{key}_rate",
        found=f"{shown(sound[key], 'count')} of {shown(sound['measured'], 'count')} measured clips {found}",
    )  # fmt: skip


def _silence_gate(name: str, levels: Mapping[str, Any] | None, limit: float) -> Gate | None:
    if levels is None:  # a source set without a clip
        return None
    share = levels["silent"] / levels["labelled"] if levels["labelled"] else 0.0
    return at_most(
        f"clips of {name} that are nearly silent", GROUP, share, limit, format="share", setting="gates.max_silent_rate",
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
            f"misalignment of {name}, ms", GROUP, None, limit, format="decimal", setting="gates.max_misalignment_ms",
            found=f"Only {shown(heard, 'count')} of {shown(alone, 'count')} strokes of {name} that stand alone begin "
            f"within {shown(SEARCH_MS, 'number')} ms of their label",
            do="find out whether its labels belong to that audio; a dataset exported long ago is to be exported again",
        )  # fmt: skip
    if median is None:
        return None
    side = "late" if median > 0 else "early"
    return at_most(
        f"misalignment of {name}, ms", GROUP, abs(median), limit, format="decimal", setting="gates.max_misalignment_ms",
        found=f"{name} sounds {shown(abs(median), 'decimal')} ms {side}: the middle of "
        f"{shown(alignment['strokes'], 'count')} strokes that stand alone",
        do=f"shift the onsets of its labels (sources.{name}.shift_ms), or find out what delayed its audio",
    )  # fmt: skip


def _sessions_gate(name: str, sessions: Mapping[str, Any], limits: Profile) -> Gate | None:
    """A middle hides sessions that are late beside sessions that are not; None where none could be judged."""
    judged = judged_sessions(sessions)
    if not judged:
        return None
    rows = outlying(sessions, limits.max_misalignment_ms)
    out = len({row["session_id"] for row in rows})
    more = [f"and {len(rows) - NAMED} more"] if len(rows) > NAMED else []
    told = "; ".join([*map(told_shift, rows[:NAMED]), *more])
    unjudged = f"{shown(sessions['few'] + sessions['unsure'], 'count')} have too few clips or are not sure"
    return at_most(
        f"sessions of {name} out of time", GROUP, out / judged, limits.max_misaligned_share, format="share",
        setting="gates.max_misaligned_share",
        found=f"{shown(out, 'count')} of {shown(judged, 'count')} judged sessions are more than "
        f"{shown(limits.max_misalignment_ms, 'number')} ms out of time{told and f': {told}'}; {unjudged}",
        do=f"{_remedy(name, rows, judged)}, or leave them out; then export again",
    )  # fmt: skip


def _remedy(name: str, rows: Sequence[Mapping[str, Any]], judged: int) -> str:
    """What moves onsets: one number for the source set if nearly all sessions are out of time by the same."""
    shifts = [row["shift_ms"] for row in rows if row["found"] in (LATE, EARLY)]
    middle = statistics.median(shifts) if shifts else 0.0
    alike = sum(abs(shift - middle) <= ALIKE_MS for shift in shifts)
    if alike >= MOST * judged:
        return f"move the onsets of all by sources.{name}.shift_ms = {round(middle)}"
    return f"move their onsets by the file that sources.{name}.session_shifts names (docs/health.md)"


def told_shift(row: Mapping[str, Any]) -> str:
    """A recording that is out of time, in words.

    Args:
        row: As `session_figures.outlying` gives it.
    """
    path = row["audio_path"]
    name = row["session_id"] + (f" ({path})" if path and PurePosixPath(path).stem != row["session_id"] else "")
    of = f"{shown(row['sure'], 'share')} sure, {shown(row['clips'], 'count')} clips"
    if row["found"] == LOST:
        return f"{name} begins nowhere near its labels ({shown(row['clips'], 'count')} clips)"
    if row["found"] == DRIFTS:
        first, last = (row["shift_ms"] + side * row["drift_ms"] / 2 for side in (-1, 1))
        return (
            f"{name} goes from {shown(first, 'tenths')} to {shown(last, 'tenths')} ms within "
            f"{shown(row['seconds'], 'duration')}, as by another tempo or sample rate ({of})"
        )
    return f"{name} sounds {shown(abs(row['shift_ms']), 'number')} ms {row['found']} ({of})"
