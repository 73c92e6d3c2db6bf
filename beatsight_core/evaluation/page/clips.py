"""Hits to see and to hear on a page: the spectrogram that the model was given, and the clip as its shard holds it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beatsight_core.dataset.page.examples import clip_sound
from beatsight_core.dataset.reader import open_dataset
from beatsight_core.features.cache import Features
from beatsight_core.pages.raster import raster
from beatsight_core.settings import Settings

MEDIA_BYTES = 2_000_000
"""Greatest number of bytes of sounds and spectrograms; the page is a third larger, and its text comes on top."""


@dataclass(frozen=True, slots=True)
class HitClip:
    """A hit to see and to hear.

    Attributes:
        spectrogram: Spectrogram, its log-mel as PNG.
        sound: Clip as FLAC.
        onset: Place of the onset in the clip, as a share of the clip's length.
    """

    spectrogram: bytes
    sound: bytes
    onset: float


def hit_clips(
    settings: Settings, key: str, features: Features, rows: Iterable[int], most_bytes: int = MEDIA_BYTES
) -> dict[int, HitClip]:
    """Return clips of hits while there is room for them.

    Args:
        settings: Settings that say where shards lie.
        key: Key of the dataset that `features` were made of.
        features: Cache of features.
        rows: Rows of the cache, the most important first; a row counts as often as it is named, as a page that shows it
            twice holds it twice.
        most_bytes: Greatest size of all spectrograms and sounds together.

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
        clip = HitClip(
            spectrogram=raster(_decibels(features, row)),
            sound=clip_sound(settings, shards[place].digest, row - int(features.offsets[place])).flac,
            onset=about["onset_frame"] / max(about["frames"], 1),
        )
        room -= times * (len(clip.spectrogram) + len(clip.sound))
        if room < 0:
            break
        clips[row] = clip
    return clips


def _decibels(features: Features, row: int) -> NDArray[np.float32]:
    decibels: NDArray[np.float32] = features.spec.to_decibels(features.read(np.array([row], dtype=np.int64)))[0]
    return decibels
