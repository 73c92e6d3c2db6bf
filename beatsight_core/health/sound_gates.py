"""Gates over how clips sound, of each source set: clipped, offset, silent, late or early.

A source set whose sound cannot be measured fails like one that is late: of the strokes that stand alone, a quarter must
begin near their labels.
"""

import statistics
from collections.abc import Sequence
from pathlib import PurePosixPath

from beatsight_core.gates.corpus_limits import Profile
from beatsight_core.gates.gate import Gate, at_most
from beatsight_core.health.figures.export_figures import SourceLevels
from beatsight_core.health.figures.session_figures import OutOfTime, SessionFigures, out_of_time
from beatsight_core.health.figures.session_shifts import DRIFTS, EARLY, LATE, LOST
from beatsight_core.health.figures.sound_figures import FEWEST, Alignment, SourceSound
from beatsight_core.health.figures.sound_measures import SEARCH_MS
from beatsight_core.health.figures.statistics import CorpusFigures
from beatsight_core.pages.formats import shown

GROUP = "sound"

ALIKE_MS, MOST = 5.0, 0.9
"""If so many of the judged sessions are out of time by the same, one number mends them."""

NAMED = 3
"""Recordings out of time that the gate names; the report has all."""

LEAST_HEARD = 0.25
"""Of the strokes that stand alone. Soft ones hide their beginning: of recorded kits every second shows it."""


def sound_gates(figures: CorpusFigures, limits: Profile) -> list[Gate]:
    """Hold the sound of every source set against its limits; nothing is judged before an export.

    Args:
        figures: Figures of the corpus.
        limits: Limits of the corpus.
    """
    if figures.sound is None:
        return []
    levels = figures.export.levels.by_source if figures.export else {}
    gates = []
    for name, sound in figures.sound.by_source.items():
        gates += [
            _share_gate(f"clipped clips of {name}", "clipped", sound.clipped, sound, limits.max_clipped_rate),
            _share_gate(f"clips of {name} with an offset", "offset", sound.offset, sound, limits.max_offset_rate),
            _silence_gate(name, levels.get(name), limits.max_silent_rate),
            _alignment_gate(name, sound.alignment, limits.max_misalignment_ms),
            _sessions_gate(name, sound.sessions, limits),
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


def _share_gate(name: str, fault: str, clips: int, sound: SourceSound, limit: float) -> Gate:
    found, do = _WHAT[fault]
    return Gate(
        name, clips / sound.measured if sound.measured else 0.0, at_most(limit),
        group=GROUP, format="share", do=do, setting=f"gates.max_{fault}_rate",
        found=f"{shown(clips, 'count')} of {shown(sound.measured, 'count')} measured clips {found}",
    )  # fmt: skip


def _silence_gate(name: str, levels: SourceLevels | None, limit: float) -> Gate | None:
    if levels is None:  # a source set without a clip
        return None
    share = levels.silent / levels.labelled if levels.labelled else 0.0
    return Gate(
        f"clips of {name} that are nearly silent", share, at_most(limit),
        group=GROUP, format="share", setting="gates.max_silent_rate",
        found=f"{shown(levels.silent, 'count')} of {shown(levels.labelled, 'count')} clips with a label stay "
        "below -60 dB of full scale",
        do="look whether its labels belong to that audio, or leave muted tracks out",
    )  # fmt: skip


def _alignment_gate(name: str, alignment: Alignment, limit: float) -> Gate | None:
    """Return the gate of a source set's middle; None where too few strokes stand alone, which the report says.

    Where enough do and hardly any begins near its label, nothing could be measured. That fails: a corpus that is so
    late that it cannot be measured is no better than one that is late.
    """
    median, alone, heard = alignment.median_ms, alignment.alone, alignment.strokes
    if alone >= FEWEST and heard < LEAST_HEARD * alone:
        return Gate(
            f"misalignment of {name}, ms", None, at_most(limit),
            group=GROUP, format="milliseconds", setting="gates.max_misalignment_ms",
            found=f"Only {shown(heard, 'count')} of {shown(alone, 'count')} strokes of {name} that stand alone begin "
            f"within {shown(SEARCH_MS, 'number')} ms of their label",
            do="find out whether its labels belong to that audio; a dataset exported long ago is to be exported again",
        )  # fmt: skip
    if median is None:
        return None
    side = "late" if median > 0 else "early"
    return Gate(
        f"misalignment of {name}, ms", abs(median), at_most(limit),
        group=GROUP, format="milliseconds", setting="gates.max_misalignment_ms",
        found=f"{name} sounds {shown(abs(median), 'decimal')} ms {side}: the middle of "
        f"{shown(heard, 'count')} strokes that stand alone",
        do=f"shift the onsets of its labels (sources.{name}.shift_ms), or find out what delayed its audio",
    )  # fmt: skip


def _sessions_gate(name: str, sessions: SessionFigures, limits: Profile) -> Gate | None:
    """Return the gate of sessions out of time, which a middle hides; None where none could be judged."""
    judged = sessions.judged
    if not judged:
        return None
    rows = out_of_time({name: sessions}, limits.max_misalignment_ms)
    out = len({row.recording.session_id for row in rows})
    more = [f"and {len(rows) - NAMED} more"] if len(rows) > NAMED else []
    told = "; ".join([*map(shift_in_words, rows[:NAMED]), *more])
    unjudged = f"{shown(sessions.unjudged, 'count')} have too few clips or are not sure"
    return Gate(
        f"sessions of {name} out of time", out / judged, at_most(limits.max_misaligned_share),
        group=GROUP, format="share",
        setting="gates.max_misaligned_share",
        found=f"{shown(out, 'count')} of {shown(judged, 'count')} judged sessions are more than "
        f"{shown(limits.max_misalignment_ms, 'number')} ms out of time{told and f': {told}'}; {unjudged}",
        do=f"{_remedy(name, rows, judged)}, or leave them out; then export again",
    )  # fmt: skip


def _remedy(name: str, rows: Sequence[OutOfTime], judged: int) -> str:
    """Return what moves onsets: one number if nearly all sessions of the source set are out of time by the same."""
    shifts = [shift for row in rows if row.outcome in (LATE, EARLY) for shift in row.ends_ms]
    middle = statistics.median(shifts) if shifts else 0.0
    alike = sum(abs(shift - middle) <= ALIKE_MS for shift in shifts)
    if alike >= MOST * judged:
        return f"move the onsets of all by sources.{name}.shift_ms = {round(middle)}"
    return f"move their onsets by the file that sources.{name}.session_shifts names (docs/health.md)"


def shift_in_words(row: OutOfTime) -> str:
    """Return a recording that is out of time, in words."""
    one, path = row.recording, row.recording.audio_path
    name = one.session_id + (f" ({path})" if path and PurePosixPath(path).stem != one.session_id else "")
    of = f"{shown(one.sure, 'share')} sure, {shown(one.clips, 'count')} clips"
    if row.outcome == LOST:
        return f"{name} begins nowhere near its labels ({shown(one.clips, 'count')} clips)"
    if row.outcome == DRIFTS:
        first, last = row.ends_ms
        return (
            f"{name} goes from {shown(first, 'tenths')} to {shown(last, 'tenths')} ms within "
            f"{shown(one.seconds, 'duration')}, as by another tempo or sample rate ({of})"
        )
    return f"{name} sounds {shown(abs(row.ends_ms[0]), 'number')} ms {row.outcome} ({of})"
