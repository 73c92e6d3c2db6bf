"""What a person should know of a corpus beside its gates: nothing here fails it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from beatsight_core.audio.inventory_figures import AudioFigures
from beatsight_core.health.figures.leakage import Sharing
from beatsight_core.health.figures.sound_figures import FEWEST
from beatsight_core.health.figures.split_balance import unvalidated
from beatsight_core.health.figures.statistics import CorpusFigures
from beatsight_core.manifest.shifts import corrections_notice
from beatsight_core.pages.formats import shown
from beatsight_core.taxonomy import MIN_POSITIVES

_NAMED = 5


@dataclass(frozen=True, slots=True)
class Notice:
    """A finding that fails no gate.

    Attributes:
        state: Weight of the finding.
        text: Sentence that says it.
    """

    state: Literal["warn", "info"]
    text: str


def notices(figures: CorpusFigures, profile: str) -> tuple[Notice, ...]:
    """Return findings, the more serious first.

    Args:
        figures: Figures of the corpus.
        profile: Name of the gates profile.
    """
    warnings = [
        *_class_warnings(figures), *_audio_warnings(figures), *_export_warnings(figures),
        *_licence_warnings(figures), *_split_warnings(figures), *_copy_warnings(figures),
    ]  # fmt: skip
    if moved := corrections_notice(figures.corrections):
        warnings.append(f"{moved[:1].upper()}{moved[1:]}.")
    remarks = [*_leakage_remarks(figures), *_sound_remarks(figures), *_overlap_remarks(figures)]
    if profile != "production":
        remarks.append(f"The gates are those of the {profile} profile, not of production.")
    return (*(Notice("warn", text) for text in warnings), *(Notice("info", text) for text in remarks))


def _class_warnings(figures: CorpusFigures) -> list[str]:
    classes = figures.hits.classes
    unheard = [label for label, counts in classes.items() if counts.hits and not counts.by_split["val"]]
    rare = [
        f"{label} ({counts.by_split['val']})"
        for label, counts in classes.items()
        if 0 < counts.by_split["val"] < MIN_POSITIVES
    ]
    unlearnt = [label for label, counts in classes.items() if counts.hits and not counts.by_split["train"]]
    texts = []
    if unheard:
        texts.append(f"No validation hit holds {_names(unheard)}: nothing will be known of how well they are heard.")
    if rare:
        texts.append(
            f"Fewer than {MIN_POSITIVES} validation hits hold {_names(rare)}: their scores are mostly chance, and an "
            "evaluation leaves them out of its averages."
        )
    if unlearnt:
        texts.append(f"No training hit holds {_names(unlearnt)}: they cannot be learnt.")
    return texts


def _split_warnings(figures: CorpusFigures) -> list[str]:
    hits = figures.hits
    empty = [name for name, counts in hits.splits.items() if not counts.hits and hits.hits]
    lacking = unvalidated(hits.balance)
    unheard = [f"No validation hit of {source} holds {_names(labels)}." for source, labels in lacking.items()]
    return [*(f"The split {name} is empty." for name in empty), *figures.split_notes, *unheard]


def _copy_warnings(figures: CorpusFigures) -> list[str]:
    copies = figures.leakage.copies
    if copies is None or not copies.across:
        return []
    return [
        f"{shown(copies.across, 'count')} recordings validate under one name and train under another: "
        f"{shown(copies.val_hits_shared, 'count')} validation hits. Such as {copies.examples[0]}."
    ]


def _sound_remarks(figures: CorpusFigures) -> list[str]:
    if figures.sound is None:
        return []
    near = figures.sound.near_duplicates
    texts = [
        f"{shown(near.val_near_training, 'count')} of {shown(near.val, 'count')} validation clips that were "
        "compared sound nearly like one that trains or tunes."
    ] if near.val_near_training else []  # fmt: skip
    too_few = [
        name
        for name, source in figures.sound.by_source.items()
        if source.measured and source.alignment.median_ms is None and source.alignment.alone < FEWEST
    ]
    if too_few:
        texts.append(f"Too few strokes of {_names(too_few)} stand alone to say whether they begin where labels say.")
    return texts


def _audio_warnings(figures: CorpusFigures) -> list[str]:
    audio = figures.audio
    if audio is None:
        return []
    losing = {name for name, source in audio.by_source.items() if source.missing_events}
    texts = [
        f"The root {root.root} of {root.source_set} is not mounted."
        for root in audio.roots
        if not root.mounted and root.source_set in losing
    ]
    texts += _file_warnings(audio)
    for name, source in audio.by_source.items():
        if source.unexpected_rate:
            expected, counted = str(source.expected_rate), source.sample_rates.items()
            rates = ", ".join(f"{shown(count, 'count')} at {rate} Hz" for rate, count in counted if rate != expected)
            texts.append(
                f"{name} has {shown(source.unexpected_rate, 'count')} files of another rate than the {expected} Hz "
                f"that are set: {rates}."
            )
    return texts


def _file_warnings(audio: AudioFigures) -> list[str]:
    """Return what is to know of files that can be used, and are not what they seem."""
    texts = []
    if audio.hidden_files:
        one = audio.hidden_files[0]
        texts.append(
            f"{_files(audio.hidden, 'lies', 'lie')} in two roots with other content, and that of the first root is "
            f"used: such as {one.audio_path} of {one.root}, which differs from that of {one.hidden_root}."
        )
    if audio.opposed:
        has = "file has channels that cancel" if audio.opposed == 1 else "files have channels that cancel"
        texts.append(
            f"{shown(audio.opposed, 'count')} {has} each other (opposite polarity), so that their mean is silent or "
            "nearly: set `channel` of their source set to left, right or loudest."
        )
    if audio.short:
        texts.append(f"{_files(audio.short, 'is', 'are')} cut short or damaged: only what is there of them is used.")
    return texts


def _files(number: int, one: str, several: str) -> str:
    return f"{shown(number, 'count')} {f'file {one}' if number == 1 else f'files {several}'}"


def _export_warnings(figures: CorpusFigures) -> list[str]:
    export = figures.export
    if export is None:
        return ["The dataset was not exported yet: what it holds is not in this report."]
    absent = [name for name in figures.hits.hits_by_source if name not in export.by_source]
    return [f"Not exported yet: {_names(absent)}."] if absent else []


def _licence_warnings(figures: CorpusFigures) -> list[str]:
    unnamed = [source for source, licences in figures.hits.licences.items() if "unknown" in licences]
    return [f"No licence is known for {_names(unnamed)}; a model card will say so."] if unnamed else []


def _leakage_remarks(figures: CorpusFigures) -> list[str]:
    texts = []
    for name, shared in _shareable(figures):
        if shared.across:
            part = shown(shared.val_hits_shared / shared.val_hits, "share")
            texts.append(
                f"{part} of the validation hits that name one of the {name} share it with training "
                f"({shared.across} of {shared.different} {name}): figures on val flatter unseen {name}."
            )
    return texts


def _shareable(figures: CorpusFigures) -> Iterator[tuple[str, Sharing]]:
    yield "drummers", figures.leakage.drummers
    yield "kits", figures.leakage.kits
    yield "rooms", figures.leakage.rooms


def _overlap_remarks(figures: CorpusFigures) -> list[str]:
    negative = figures.events.negative_events
    return [f"{shown(negative, 'count')} events are examples of silence and noise, without labels."] if negative else []


def _names(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
