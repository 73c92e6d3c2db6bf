"""The tables of `beatsight.toml`, each a dataclass with its defaults: what can be set, and what it means."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PRESETS = ("warmup", "baseline", "long_run")
"""The presets of training, each of which may have a `[training.<preset>]`."""

PROMOTION_FIGURES = ("accuracy", "f1", "f1_kick", "f1_snare", "f1_crash", "loss", "exact_match")
"""What `[gates.promotion]` may set; `f1` stands for all three F1. Their limits are promotion's."""

PROBE_FIGURES = ("accuracy", "recall", "min_positives", "max_confusion_growth")
"""What `[gates.probe]` may set."""

MOST_SHIFT_MS = 10_000.0
"""No correction of onsets is greater: labels that are further off belong to other audio."""

LOOSENED = "loosened"
"""Key of a reason in `[gates.promotion]` and `[gates.probe]`; without one their limits can only be tightened."""


CHANNELS = ("mix", "left", "right", "loudest")
"""What mono can be made of: the mean of all channels, the first, the second, or the one with the greatest RMS."""


@dataclass(frozen=True, slots=True)
class SourceSet:
    """A corpus and how it is read: `[sources.<name>]`.

    Attributes:
        name: As events call it in `source_set`.
        roots: Folders that `audio_path` is looked for in, first match wins. Without any: `raw/<name>`, then `raw`, of
            the data root and then of the secondary root.
        licence: For model cards; an event's own `licence` beats it.
        coalesce_ms: Onsets of one file at most this far after a hit's first onset belong to that hit.
        expected_sample_rate_hz: Another rate in a file is reported.
        split_by: Fields of which sessions must not share a value across splits: drummer_id, kit_id, room_id.
        channel: What a clip is made of: "mix" (the mean of all channels), "left", "right", or "loudest" (the one with
            the greatest RMS over the whole file).
        unknown_labels: "reject" an event with a component that the taxonomy lacks, or "ignore" that component.
        sampling: Values that replace those of the sampling profile: exponent, least, most, events_per_session,
            events_per_file.
        shift_ms: Every onset is moved by so much, later above 0. For labels that are early or late by a known time;
            reports and cards say so.
        session_shifts: A file with a shift for each session that has one of its own, which counts instead: a CSV with
            the heading session_id,shift_ms, or JSON lines.
    """

    name: str
    roots: tuple[Path, ...] = ()
    licence: str = "unknown"
    coalesce_ms: float = 30.0
    expected_sample_rate_hz: int | None = None
    split_by: tuple[str, ...] = ()
    channel: str = "mix"
    unknown_labels: str = "reject"
    sampling: Mapping[str, float] = field(default_factory=dict)
    shift_ms: float = 0.0
    session_shifts: Path | None = None


@dataclass(frozen=True, slots=True)
class DatasetSettings:
    """How hits become clips: `[dataset]`. All of it is part of a shard's identity or a split's, save the last two.

    Attributes:
        sample_rate_hz: Rate of every clip.
        pre_ms: Audio before the onset.
        tail_ms: Audio from the onset on.
        fixed_length: All clips are that long; if not, each as long as `context_ms` of its events asks.
        encoding: "wav" (PCM16) or "flac".
        val_ratio: Share of split groups that validate.
        calibration_ratio: Share of the training groups that tune thresholds.
        unit_hits: Hits packed into a shard before the next boundary; a file with more stands alone.
        workers: Processes; 0 means one per core.
        sampling: Name of the profile by which sessions weigh when examples are drawn.
    """

    sample_rate_hz: int = 44100
    pre_ms: float = 80.0
    tail_ms: float = 200.0
    fixed_length: bool = True
    encoding: str = "wav"
    val_ratio: float = 0.1
    calibration_ratio: float = 0.05
    unit_hits: int = 1024
    workers: int = 0
    sampling: str = "prod_combined"


@dataclass(frozen=True, slots=True)
class FeatureSettings:
    """The log-mel: `[features]`. Times in samples at the dataset's rate, frequencies in hertz.

    `storage` is "uint8", 255 steps over the range of decibels, or "float16", twice as large.
    """

    n_fft: int = 2048
    hop_length: int = 512
    n_mels: int = 128
    f_min_hz: float = 20.0
    f_max_hz: float = 16000.0
    storage: str = "uint8"


@dataclass(frozen=True, slots=True)
class GateSettings:
    """Health gates and promotion criteria: `[gates]`.

    Attributes:
        profile: "production" (the shipped figures) or "demo" (small data; reports say so).
        min_counts: Component -> least hits, over the profile's.
        required_techniques: Over the profile's, where given.
        max_reject_rate: Lines of the manifest that are refused, of those read; over the profile's, where given, and
            where it is not, as `max_missing_rate`.
        max_duplication_rate: Over the profile's, where given.
        max_unknown_labels: Over the profile's, where given.
        max_missing_rate: Events without audio, of all; over the profile's, where given.
        max_missing_rate_per_source: The same of each source set.
        max_class_drop: Share of its hits that a class may lose against the blessed baseline, as all below over the
            profile's.
        max_drift_js: Jensen-Shannon divergence of a source set's classes from the baseline's, in bits, 0..1.
        max_drift_linf: Change of one class's share in a source set since the baseline.
        max_clipped_rate: Clips of a source set that are clipped, of those measured.
        max_offset_rate: Clips of a source set with a DC offset, of those measured.
        max_silent_rate: Clips of a source set that have a label and hardly sound.
        max_misalignment_ms: Attack minus onset in a source set, or in a session, late or early.
        max_misaligned_share: Sessions of a source set that are further out of time, of those that could be judged.
        promotion: Criterion -> limit, tighter than the profile's; a looser one needs a reason.
        probe: Figure of the warm-up probe -> limit; the same holds.
        loosened: "promotion" or "probe" -> the reason for limits looser than the profile's, shown wherever they count.
    """

    profile: str = "production"
    min_counts: Mapping[str, int] = field(default_factory=dict)
    required_techniques: tuple[str, ...] | None = None
    max_reject_rate: float | None = None
    max_duplication_rate: float | None = None
    max_unknown_labels: int | None = None
    max_missing_rate: float | None = None
    max_missing_rate_per_source: float | None = None
    max_class_drop: float | None = None
    max_drift_js: float | None = None
    max_drift_linf: float | None = None
    max_clipped_rate: float | None = None
    max_offset_rate: float | None = None
    max_silent_rate: float | None = None
    max_misalignment_ms: float | None = None
    max_misaligned_share: float | None = None
    promotion: Mapping[str, float] = field(default_factory=dict)
    probe: Mapping[str, float] = field(default_factory=dict)
    loosened: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrackingSettings:
    """Weights & Biases: `[tracking]`. `WANDB_MODE` and `WANDB_RUN_GROUP` beat mode and group.

    Attributes:
        mode: "disabled", "offline" or "online".
        project: Of W&B.
        entity: Whose it is; without one, that of the account.
        group: Runs that belong together, as those of an ensemble.
        tags: Beside the tag of manifest and day, and the preset.
        sync: The sensor `wandb_sync`, once it is turned on, sends what was kept offline; with mode "online" it does
            so in any case.
    """

    mode: str = "disabled"
    project: str = "beatsight"
    entity: str | None = None
    group: str | None = None
    tags: tuple[str, ...] = ()
    sync: bool = False


@dataclass(frozen=True, slots=True)
class WebSettings:
    """The web server of `beatsight dev`: `[web]`.

    Attributes:
        hosts: Names, beside those of this machine itself, under which a browser may call it, as a reverse proxy shows
            it: "drums.example.org", or "drums.example.org:8443" where the browser's address has a port.
    """

    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConfigTarget:
    """A value in another program's configuration that names the champion: one of `[[release.configs]]`.

    Attributes:
        file: JSON, TOML, YAML or .env, by its suffix; inside the data root or one of `release.roots`.
        key: Where the value stands: parts with dots between, as in "models.drums.path"; of a list, the place from 0 on.
        value: What is written there. {weights}, {folder}, {current}, {version}, {run_id} and {sha256} are filled in.
    """

    file: Path
    key: str
    value: str = "{weights}"


@dataclass(frozen=True, slots=True)
class ReleaseSettings:
    """What a release must hold to, and what else it writes: `[release]`. Paths are relative to the data root.

    Attributes:
        max_latency_ms: That a version may take for one clip on one core, in any of its forms.
        max_size_mb: Of a version, all files together, in millions of bytes.
        roots: Folders beside the data root in which files may be changed.
        current_status: A Markdown page that says which model is in use, between markers; none by default.
        next_steps: A Markdown page that says what is to be done, between markers; none by default.
        configs: Values in other programs' configurations that name the champion.
    """

    max_latency_ms: float = 50.0
    max_size_mb: float = 64.0
    roots: tuple[Path, ...] = ()
    current_status: Path | None = None
    next_steps: Path | None = None
    configs: tuple[ConfigTarget, ...] = ()
