"""Mistakes as cards of a page: reference and prediction, where, how sure, to see and to hear."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from beatsight_core.evaluation.label_errors import LikelyError, Statement
from beatsight_core.evaluation.mistakes import Mistake
from beatsight_core.evaluation.page.clips import HitClip
from beatsight_core.metrics import ClassScores


@dataclass(frozen=True, slots=True)
class Card:
    """A card for the macro `clip`; without a clip it has no spectrogram and no sound.

    Attributes:
        title: Title of the card.
        lines: Lines of text below it.
        picture: Spectrogram as PNG.
        sound: Clip as FLAC.
        onset: Place of the onset, as a share of the clip's length.
    """

    title: str
    lines: tuple[str, ...]
    picture: bytes | None
    sound: bytes | None
    onset: float | None


@dataclass(frozen=True, slots=True)
class ComponentMistakes:
    """The mistakes of one component, and how it fares.

    Attributes:
        label: Label of the component.
        cards: Cards of its mistakes.
        precision: Precision of the component.
        recall: Recall of the component.
    """

    label: str
    cards: list[Card]
    precision: float | None
    recall: float | None


def mistake_cards(mistakes: Sequence[Mistake], clips: Mapping[int, HitClip]) -> list[Card]:
    """Return a card for each mistake.

    Args:
        mistakes: Mistakes in the order of their cards.
        clips: Clips by the `row` of a mistake.
    """
    return [_mistake_card(mistake, clips.get(mistake.row)) for mistake in mistakes]


def mistakes_by_component(
    by_class: Mapping[str, Sequence[Mistake]], clips: Mapping[int, HitClip], per_class: Mapping[str, ClassScores]
) -> list[ComponentMistakes]:
    """Return the same by component.

    Args:
        by_class: Label -> its mistakes.
        clips: Clips by the `row` of a mistake.
        per_class: Label -> its scores.
    """
    return [
        ComponentMistakes(label, mistake_cards(mistakes, clips), per_class[label].precision, per_class[label].recall)
        for label, mistakes in by_class.items()
    ]


def suspect_cards(suspects: Sequence[LikelyError], clips: Mapping[int, HitClip]) -> list[Card]:
    """Return a card for each likely label error.

    Args:
        suspects: Likely errors in the order of their cards.
        clips: Clips by the `row` of a likely error.
    """
    return [
        _card(
            f"{_set(suspect.labels)} → {_set(suspect.suggested)}?",
            (*map(_statement, suspect.statements), *_place(suspect)),
            clips.get(suspect.row),
        )
        for suspect in suspects
    ]


def _statement(statement: Statement) -> str:
    heard = "is heard" if statement.kind == "invented" else "is not heard"
    least = min(statement.confidence.values())
    return f"{statement.component} {heard}: ≥ {least:.2f} at {len(statement.confidence)} checkpoints"


def _mistake_card(mistake: Mistake, clip: HitClip | None) -> Card:
    line = f"{mistake.component} {mistake.kind}, p = {mistake.probability:.3f}"
    return _card(f"{_set(mistake.labels)} → {_set(mistake.said)}", (line, *_place(mistake)), clip)


def _card(title: str, lines: tuple[str, ...], clip: HitClip | None) -> Card:
    if clip is None:
        return Card(title, lines, None, None, None)
    return Card(title, lines, clip.spectrogram, clip.sound, clip.onset)


def _set(labels: Sequence[str]) -> str:
    return " + ".join(labels) or "nothing"


def _place(mistake: Mistake) -> tuple[str, ...]:
    """Return lines that say where a hit is; each begins with what tells most, as its end may not be seen."""
    return (
        f"at {mistake.onset_time:.3f} s · {mistake.audio_path.rpartition('/')[2]}",
        f"session {mistake.session_id}",
        mistake.source_set,
    )
