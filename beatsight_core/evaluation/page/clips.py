"""Hits to see and to hear on a page: the log-mel that the model was given, and the clip as its shard holds it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beatsight_core.dataset.page.examples import Example, example_sound
from beatsight_core.dataset.reader import open_dataset
from beatsight_core.features.cache import Features
from beatsight_core.pages.raster import raster
from beatsight_core.settings import Settings

MEDIA_BYTES = 2_000_000
"""At most so many bytes of sounds and pictures; the page is a third larger than they are, and its text comes on top."""


@dataclass(frozen=True, slots=True)
class HitClip:
    """One hit.

    Attributes:
        picture: Its log-mel as PNG.
        sound: Its clip as FLAC.
        onset: Where in the clip its onset lies, as a share of the clip's length.
    """

    picture: bytes
    sound: bytes
    onset: float


def hit_clips(
    settings: Settings, key: str, features: Features, rows: Iterable[int], most_bytes: int = MEDIA_BYTES
) -> dict[int, HitClip]:
    """Clips of hits while there is room for them.

    Args:
        settings: Say where shards lie.
        key: Of the dataset that `features` were made of.
        features: The cache.
        rows: Rows of the cache, the most important first; a row counts as often as it is named, as a page that shows it
            twice holds it twice.
        most_bytes: Of all pictures and sounds together.

    Returns:
        {row: clip}; rows beyond the room are left out.

    Raises:
        DatasetError: A shard is broken or gone.
    """
    shards = open_dataset(settings, key).shards
    clips: dict[int, HitClip] = {}
    room = most_bytes
    for row, times in Counter(rows).items():  # a counter keeps the order in which it was told
        place = int(np.searchsorted(features.offsets, row, side="right")) - 1
        about = features.meta.row(row, named=True)
        example = Example("", shards[place].digest, row - int(features.offsets[place]), about)
        clip = HitClip(
            picture=raster(_decibels(features, row)),
            sound=example_sound(settings, example)[1],
            onset=about["onset_frame"] / max(about["frames"], 1),
        )
        room -= times * (len(clip.picture) + len(clip.sound))
        if room < 0:
            break
        clips[row] = clip
    return clips


def _decibels(features: Features, row: int) -> NDArray[np.float32]:
    decibels: NDArray[np.float32] = features.spec.to_decibels(features.read(np.array([row], dtype=np.int64)))[0]
    return decibels
