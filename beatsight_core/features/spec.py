"""Everything that determines a feature, in one value whose digest keys the cache. No tensors here.

Conventions: a clip becomes a spectrogram of `n_mels` bands by `frames` frames in decibels below the clip's own loudest
point, within [`floor_db`, 0]. It is stored in half precision, or as 8-bit steps over that range.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from beatsight_core.errors import DatasetError
from beatsight_core.files import digest_json
from beatsight_core.settings import Settings
from beatsight_core.units import milliseconds_to_samples

StoredArray: TypeAlias = npt.NDArray[np.float16 | np.uint8]
"""Spectrograms as they are stored; `FeatureSpec.storage` says in which of the two types."""

UINT8_STEPS = 255
"""Steps that 8-bit storage divides the range of decibels into."""


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """A recipe from a clip's samples to its spectrogram. A change of any field is another digest, hence another cache.

    Attributes:
        sample_rate_hz: Rate of the clips.
        pre_ms: Milliseconds of audio before the onset.
        tail_ms: Milliseconds of audio from the onset on.
        n_fft: Number of samples of a Hann window and of its transform.
        hop_length: Number of samples from frame to frame; frames are centred, edges reflected.
        n_mels: Number of bands.
        f_min_hz: Lower edge of the lowest band.
        f_max_hz: Upper edge of the highest band.
        storage: Type of the stored values, "float16" or "uint8".
        mel_scale: Scale of the bands. "slaney" is linear below 1 kHz, so that narrow bands at the bottom still hold a
            bin of the transform.
        floor_db: Least value; what lies further below the loudest point is set to this.
        level: Reference of the level. "clip_peak": decibels count from the clip's own loudest point, so a louder
            recording looks the same.
        version: Number that grows when the code computes something else from the same fields.
    """

    sample_rate_hz: int
    pre_ms: float
    tail_ms: float
    n_fft: int
    hop_length: int
    n_mels: int
    f_min_hz: float
    f_max_hz: float
    storage: str
    mel_scale: str = "slaney"
    floor_db: float = -80.0
    level: str = "clip_peak"
    version: int = 1

    @classmethod
    def from_settings(cls, settings: Settings) -> "FeatureSpec":
        """Return the spec that `[dataset]` and `[features]` ask for."""
        data, mel = settings.dataset, settings.features
        return cls(
            sample_rate_hz=data.sample_rate_hz,
            pre_ms=data.pre_ms,
            tail_ms=data.tail_ms,
            n_fft=mel.n_fft,
            hop_length=mel.hop_length,
            n_mels=mel.n_mels,
            f_min_hz=mel.f_min_hz,
            f_max_hz=mel.f_max_hz,
            storage=mel.storage,
        )

    @classmethod
    def from_json(cls, value: Any) -> "FeatureSpec":
        """Return the spec that `to_json` described.

        Raises:
            DatasetError: The value is no such description, or one by another version of this program.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(value, dict) or set(value) != known:
            raise DatasetError(
                "A feature spec has other fields than this version knows",
                why=f"fields {sorted(value) if isinstance(value, dict) else value!r}",
                do="use the version of this program that wrote it, or build the features again",
            )
        return cls(**value)

    def to_json(self) -> dict[str, Any]:
        """Return all fields, as the digest counts them."""
        return dataclasses.asdict(self)

    @property
    def digest(self) -> str:
        """The digest, which names the cache's folder."""
        return digest_json(self.to_json())

    @property
    def clip_samples(self) -> int:
        """The number of samples of a clip."""
        before = milliseconds_to_samples(self.pre_ms, self.sample_rate_hz)
        return int(before + milliseconds_to_samples(self.tail_ms, self.sample_rate_hz))

    @property
    def frames(self) -> int:
        """The number of frames of a spectrogram: one centred on every hop, the first on sample 0."""
        return 1 + self.clip_samples // self.hop_length

    @property
    def onset_frame(self) -> int:
        """The frame whose centre is nearest to the onset."""
        return round(int(milliseconds_to_samples(self.pre_ms, self.sample_rate_hz)) / self.hop_length)

    @property
    def dtype(self) -> np.dtype[np.float16 | np.uint8]:
        """The type in which spectrograms are stored."""
        return np.dtype(self.storage)

    @property
    def clip_bytes(self) -> int:
        """The stored size of one spectrogram."""
        return self.n_mels * self.frames * self.dtype.itemsize

    @property
    def decoding(self) -> tuple[float, float]:
        """(scale, offset): what is stored, times scale, plus offset, is decibels."""
        return (-self.floor_db / UINT8_STEPS, self.floor_db) if self.storage == "uint8" else (1.0, 0.0)

    def to_decibels(self, stored: StoredArray) -> npt.NDArray[np.float32]:
        """Return decibels in the same shape: 8-bit steps are decoded, other stored numbers are decibels."""
        values = stored.astype(np.float32)
        if stored.dtype == np.uint8:
            values *= -self.floor_db / UINT8_STEPS
            values += self.floor_db
        return values
