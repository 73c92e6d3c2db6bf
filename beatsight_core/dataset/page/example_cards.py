"""Examples of a dataset as cards for a page: a spectrogram, a sound, and its origin, within a number of bytes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from beatsight_core.dataset.page.examples import ClipOrigin, Example, clip_sound
from beatsight_core.dataset.page.figures import LabelFigures
from beatsight_core.pages.formats import shown
from beatsight_core.pages.spectrogram import spectrogram
from beatsight_core.settings import Settings


@dataclass(frozen=True, slots=True)
class ExampleClip:
    """An example to see and to hear.

    Attributes:
        example: Clip that was chosen.
        spectrogram: Spectrogram of the clip as PNG.
        sound: Sound of the clip as FLAC.
    """

    example: Example
    spectrogram: bytes
    sound: bytes


@dataclass(frozen=True, slots=True)
class ExampleCard:
    """An example as a page shows it.

    Attributes:
        title: Labels of the clip.
        lines: Origin of the clip, in lines.
        onset: Position of the onset as a share of the clip's length; None if it is not known.
        spectrogram: Spectrogram of the clip as PNG.
        sound: Sound of the clip as FLAC.
    """

    title: str
    lines: list[str]
    onset: float | None
    spectrogram: bytes
    sound: bytes


@dataclass(frozen=True, slots=True)
class CardGroup:
    """The cards of a label.

    Attributes:
        label: Name of the label.
        count: Number of clips that hold it in the whole dataset.
        clips: Cards of some of them.
    """

    label: str
    count: int
    clips: list[ExampleCard]


def clips_within(settings: Settings, chosen: Mapping[str, Sequence[Example]], room: int) -> Iterator[ExampleClip]:
    """Yield examples with spectrogram and sound while there is room.

    The first example of every label comes before the second.

    Args:
        settings: Settings that say where shards lie.
        chosen: Label -> examples, from `examples.choose_examples`.
        room: Bytes of spectrograms and sounds together.

    Raises:
        DatasetError: A shard is broken or gone.
    """
    for turn in range(max(map(len, chosen.values()), default=0)):
        for examples in chosen.values():
            if turn >= len(examples):
                continue
            sound = clip_sound(settings, examples[turn].shard, examples[turn].row)
            image = spectrogram(sound.samples, sound.rate_hz)
            room -= len(sound.flac) + len(image)
            if room < 0:
                return
            yield ExampleClip(examples[turn], image, sound.flac)


def card_groups(labels: Iterable[LabelFigures], clips: Sequence[ExampleClip]) -> list[CardGroup]:
    """Return cards by label, for the labels that have some.

    Args:
        labels: Figures of each label, in class order.
        clips: Examples from `clips_within`.
    """
    groups = {row.label: CardGroup(row.label, row.clips, []) for row in labels}
    for clip in clips:
        origin = clip.example.origin
        card = ExampleCard(" + ".join(origin.labels), _lines(origin), _onset(origin), clip.spectrogram, clip.sound)
        groups[clip.example.label].clips.append(card)
    return [group for group in groups.values() if group.clips]


def _lines(origin: ClipOrigin) -> list[str]:
    """Where a clip comes from: each line begins with what tells most, as its end may not be seen."""
    return [
        f"at {origin.onset_time:.3f} s · {origin.audio_path.rpartition('/')[2]}",
        f"session {origin.session_id}",
        f"{origin.split} · {shown(origin.peak, 'decibels')} · {origin.source_set}",
    ]


def _onset(origin: ClipOrigin) -> float | None:
    """Where in a clip its onset lies, as a share of its length."""
    return None if origin.onset_frame is None else float(origin.onset_frame / origin.frames)
