"""The tables of a catalog: one row per event, one row per hit. Rows are in a fixed order: equal inputs, equal files."""

import pyarrow as pa

EVENT_SCHEMA = pa.schema(
    [
        pa.field("line", pa.int64(), nullable=False),  # 1-based line of the manifest
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("session_id", pa.string(), nullable=False),
        pa.field("source_set", pa.string(), nullable=False),
        pa.field("audio_path", pa.string(), nullable=False),  # POSIX, relative to a root
        pa.field("onset_time", pa.float64(), nullable=False),  # seconds from the start of the file
        pa.field("labels", pa.list_(pa.string()), nullable=False),  # canonical, one per component, as listed
        pa.field("velocities", pa.list_(pa.float32()), nullable=False),  # parallel to labels, null where unknown
        pa.field("openness", pa.list_(pa.float32()), nullable=False),  # parallel to labels, null where unknown
        pa.field("dynamic_buckets", pa.list_(pa.string()), nullable=False),  # as given, else from the velocity
        pa.field("techniques", pa.list_(pa.string()), nullable=False),
        pa.field("is_synthetic", pa.bool_(), nullable=False),
        pa.field("negative_example", pa.bool_(), nullable=False),  # its components are NOT struck here
        pa.field("drummer_id", pa.string()),
        pa.field("kit_id", pa.string()),
        pa.field("room_id", pa.string()),
        pa.field("licence", pa.string()),
        pa.field("bleed_level", pa.string()),
        pa.field("mix_context", pa.string()),
        pa.field("loudness_lufs", pa.float32()),
        pa.field("loudness_peak_dbfs", pa.float32()),
        pa.field("context_pre_ms", pa.float32()),
        pa.field("context_post_ms", pa.float32()),
        pa.field("extra", pa.string()),  # every other field of the line, unknown ones too, as a JSON object
    ]
)
"""`events.parquet`: in the order of the manifest's lines."""

HIT_SCHEMA = pa.schema(
    [
        pa.field("hit_id", pa.string(), nullable=False),  # digest of its event ids
        pa.field("event_ids", pa.list_(pa.string()), nullable=False),  # sorted
        pa.field("session_id", pa.string(), nullable=False),
        pa.field("source_set", pa.string(), nullable=False),
        pa.field("audio_path", pa.string(), nullable=False),
        pa.field("onset_time", pa.float64(), nullable=False),  # the first onset of its events
        pa.field("labels", pa.list_(pa.string()), nullable=False),  # the SET of components, in class order
        pa.field("velocities", pa.list_(pa.float32()), nullable=False),  # parallel to labels: the loudest stroke
        pa.field("openness", pa.list_(pa.float32()), nullable=False),  # parallel to labels
        pa.field("techniques", pa.list_(pa.string()), nullable=False),  # sorted
        pa.field("is_synthetic", pa.bool_(), nullable=False),
        pa.field("drummer_id", pa.string()),
        pa.field("kit_id", pa.string()),
        pa.field("room_id", pa.string()),
        pa.field("bleed_level", pa.string()),
        pa.field("mix_context", pa.string()),
        pa.field("licence", pa.string(), nullable=False),  # the event's, else the source set's
        pa.field("previous_gap", pa.float64()),  # seconds to the hit before in the file; null for the first
        pa.field("next_gap", pa.float64()),  # seconds to the hit after in the file; null for the last
        pa.field("split", pa.string(), nullable=False),  # train, val, calibration
        pa.field("split_group", pa.string(), nullable=False),
    ]
)
"""`hits.parquet`: ordered by source_set, audio_path, onset_time."""
