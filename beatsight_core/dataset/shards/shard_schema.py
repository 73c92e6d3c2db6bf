"""The content of a shard: its columns, what a clip is, and what the file says about itself.

Everything here that can change a shard's bytes is in `ClipSpec.to_json`, which is part of every shard's digest.
"""

from dataclasses import dataclass

import orjson
import pyarrow as pa

from beatsight_core.audio.decoding.resample import RESAMPLER
from beatsight_core.audio.slicing import Window
from beatsight_core.files import DIGEST_HEX
from beatsight_core.settings import Settings
from beatsight_core.taxonomy import taxonomy_named
from beatsight_core.typed_json import JsonObject

FORMAT_VERSION = 2
"""Grows with any change to columns, to their order or meaning, or to how clips are made."""

ROW_GROUP = 128
FILE_KEY = b"beatsight"
"""Key of this project's entry in a shard's file metadata."""

SILENCE_DBFS = -120.0
"""Levels stop here: silence would be minus infinity, which JSON and many readers refuse."""

WAV_HEADER_BYTES = 44

SHARD_SCHEMA = pa.schema(
    [
        pa.field("hit_id", pa.string(), nullable=False),
        pa.field("event_ids", pa.list_(pa.string()), nullable=False),
        pa.field("session_id", pa.string(), nullable=False),
        pa.field("source_set", pa.string(), nullable=False),
        pa.field("licence", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("split_group", pa.string(), nullable=False),
        pa.field("audio_path", pa.string(), nullable=False),
        pa.field("onset_time", pa.float64(), nullable=False),
        pa.field("labels", pa.list_(pa.string()), nullable=False),
        pa.field("velocities", pa.list_(pa.float32()), nullable=False),
        pa.field("openness", pa.list_(pa.float32()), nullable=False),
        pa.field("techniques", pa.list_(pa.string()), nullable=False),
        pa.field("is_synthetic", pa.bool_(), nullable=False),
        pa.field("drummer_id", pa.string()),
        pa.field("kit_id", pa.string()),
        pa.field("room_id", pa.string()),
        pa.field("bleed_level", pa.string()),
        pa.field("mix_context", pa.string()),
        pa.field("previous_gap", pa.float64()),
        pa.field("next_gap", pa.float64()),
        pa.field("peak", pa.float32(), nullable=False),
        pa.field("rms", pa.float32(), nullable=False),
        pa.field("sample_rate", pa.int32(), nullable=False),
        pa.field("frames", pa.int32(), nullable=False),
        pa.field("onset_frame", pa.int32(), nullable=False),
        pa.field("audio", pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])),
    ]
)
"""One row per hit: the columns of `manifest.events.HIT_SCHEMA`, then what was measured, then the clip."""

COLUMN_TEXTS = {
    "hit_id": "Id of the hit, made of its file, onset and components.",
    "event_ids": "Ids of the manifest's lines that fall together in this hit.",
    "session_id": "Recording session; a session never crosses splits.",
    "source_set": "Corpus or drive that the hit is of.",
    "licence": "Licence of the recording.",
    "split": "train, val or calibration.",
    "split_group": "What goes into one split as a whole: the session, or what its source set splits by.",
    "audio_path": "Audio file, below a root of the source set.",
    "onset_time": "Onset, in seconds from the start of the audio file.",
    "labels": "Components that are struck, in class order.",
    "velocities": "Velocity of each label, 0 to 1.",
    "openness": "Openness of each label, 0 to 1, where it is a hi-hat.",
    "techniques": "Playing techniques.",
    "is_synthetic": "Whether the sound was made and not recorded.",
    "drummer_id": "Who played.",
    "kit_id": "Kit that was played.",
    "room_id": "Room that it was played in.",
    "bleed_level": "How much of other instruments is heard.",
    "mix_context": "Whether drums are alone or in a mix.",
    "previous_gap": "Seconds to the hit before in the file.",
    "next_gap": "Seconds to the hit after in the file.",
    "peak": "Peak of the clip in dBFS; -120 for silence.",
    "rms": "Root mean square of the clip in dBFS; -120 for silence.",
    "sample_rate": "Sample rate of the clip in Hz.",
    "frames": "Length of the clip in frames.",
    "onset_frame": "Frame of the clip that is its onset.",
    "audio": "Clip as a whole WAV or FLAC file.",
}
"""What each column means; the web UI shows it."""

MEASURED_COLUMNS = ("peak", "rms", "sample_rate", "frames", "onset_frame", "audio")
HIT_COLUMNS = tuple(name for name in SHARD_SCHEMA.names if name not in MEASURED_COLUMNS)
"""The columns that are a hit's own, and so part of a shard's identity."""

METADATA_COLUMNS = tuple(name for name in SHARD_SCHEMA.names if name != "audio")

HIT_ROWS = pa.schema([SHARD_SCHEMA.field(name) for name in HIT_COLUMNS])

WINDOW_FIELDS = (pa.field("pre_frames", pa.int32()), pa.field("tail_frames", pa.int32()))
"""What a row has beside `HIT_ROWS` where clips are as long as their hits ask for."""


@dataclass(frozen=True, slots=True)
class ClipSpec:
    """The shape of clips: how a hit becomes a clip.

    Attributes:
        window: Rate and length of a clip; where lengths differ, those of hits that ask for none.
        encoding: Audio format, "wav" or "flac".
        taxonomy: Identity of the labels.
        fixed_length: True if all clips are equally long; else each is as long as `context_ms` of its events says.
        channel: Source of the mono signal, one of `settings.CHANNELS`.
    """

    window: Window
    encoding: str
    taxonomy: JsonObject
    fixed_length: bool = True
    channel: str = "mix"

    @classmethod
    def of(cls, settings: Settings, source_set: str | None = None) -> "ClipSpec":
        """Return the clips that settings ask for. The channel may differ between source sets."""
        data = settings.dataset
        window = Window.of(data.sample_rate_hz, data.pre_ms, data.tail_ms)
        channel = "mix" if source_set is None else settings.source(source_set).channel
        return cls(window, data.encoding, taxonomy_named(settings.taxonomy).identity, data.fixed_length, channel)

    @property
    def clip_bytes(self) -> int:
        """Bytes of a clip of this window as WAV, which no encoding exceeds by much."""
        return WAV_HEADER_BYTES + 2 * self.window.frames

    def to_json(self) -> JsonObject:
        """Return everything that determines a clip's bytes beside the audio and the hit."""
        return {
            "format": FORMAT_VERSION,
            "sample_rate": self.window.rate_hz,
            **self._length(),
            "channels": "mean" if self.channel == "mix" else self.channel,
            "resampler": RESAMPLER,
            "encoding": f"{self.encoding}-pcm16",
            "taxonomy": self.taxonomy,
        }

    def _length(self) -> JsonObject:
        pre, frames = self.window.pre, self.window.frames
        if self.fixed_length:
            return {"pre_frames": pre, "frames": frames}
        return {"pre_frames": None, "frames": None, "default_pre_frames": pre, "default_frames": frames}


def schema_with_features(spec: ClipSpec) -> pa.Schema:
    """Return the shard's schema, marked so that Hugging Face `datasets` shows an Audio column by itself."""
    features = {field.name: _feature(field.type) for field in SHARD_SCHEMA}
    features["audio"] = {"sampling_rate": spec.window.rate_hz, "_type": "Audio"}
    note = orjson.dumps({"info": {"features": features}})
    return SHARD_SCHEMA.with_metadata({b"huggingface": note})


def shard_name(digest: str) -> str:
    """Return the path of a shard inside the shards' folder."""
    if len(digest) != DIGEST_HEX or not digest.isalnum():
        raise ValueError(f"not a shard's digest: {digest!r}")
    return f"{digest[:2]}/{digest}.parquet"


def _feature(kind: pa.DataType) -> JsonObject:
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "Sequence"}
    names = {pa.float64(): "float64", pa.float32(): "float32", pa.int32(): "int32", pa.bool_(): "bool"}
    return {"dtype": names.get(kind, "string"), "_type": "Value"}
