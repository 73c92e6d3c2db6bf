"""Examples of a dataset as cards for a page: a picture, a sound, and where it comes from, within a number of bytes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from beatsight_core.dataset.page.examples import Example, example_sound
from beatsight_core.pages.formats import shown
from beatsight_core.pages.spectrogram import spectrogram
from beatsight_core.settings import Settings

Clip = tuple[Example, bytes, bytes]
"""An example, its picture (PNG) and its sound (FLAC)."""


def clips_within(settings: Settings, chosen: Mapping[str, Sequence[Example]], room: int) -> Iterator[Clip]:
    """Examples with picture and sound while there is room: the first of every label, then the second, and so on.

    Args:
        settings: Say where shards lie.
        chosen: From `examples.choose_examples`.
        room: Bytes of pictures and sounds together.

    Raises:
        DatasetError: A shard is broken or gone.
    """
    for turn in range(max(map(len, chosen.values()), default=0)):
        for examples in chosen.values():
            if turn >= len(examples):
                continue
            samples, sound = example_sound(settings, examples[turn])
            picture = spectrogram(samples, examples[turn].about["sample_rate"])
            room -= len(sound) + len(picture)
            if room < 0:
                return
            yield examples[turn], picture, sound


def card_groups(labels: Iterable[Mapping[str, Any]], clips: Sequence[Clip]) -> list[dict[str, Any]]:
    """Cards by label.

    Args:
        labels: `label` and `clips` (how many hold it) of each, in class order.
        clips: From `clips_within`.

    Returns:
        Of every label that has some: `label`, `count`, and `clips`, each with `title`, `lines`, `onset`, `picture` and
        `sound`.
    """
    groups = {row["label"]: {**row, "clips": [], "count": row["clips"]} for row in labels}
    for example, picture, sound in clips:
        about = example.about
        groups[example.label]["clips"].append(
            {
                "title": " + ".join(about["labels"]),
                "lines": _lines(about),
                "onset": _onset(about),
                "picture": picture,
                "sound": sound,
            }
        )
    return [group for group in groups.values() if group["clips"]]


def _lines(about: Mapping[str, Any]) -> list[str]:
    """Where a clip comes from: each line begins with what tells most, as its end may not be seen."""
    return [
        f"at {about['onset_time']:.3f} s · {about['audio_path'].rpartition('/')[2]}",
        f"session {about['session_id']}",
        f"{about['split']} · {shown(about['peak'], 'decibels')} · {about['source_set']}",
    ]


def _onset(about: Mapping[str, Any]) -> float | None:
    """Where in a clip its onset lies, as a share of its length."""
    frame = about.get("onset_frame")
    return None if frame is None else float(frame / about["frames"])
