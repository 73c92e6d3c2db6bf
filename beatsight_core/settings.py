"""Settings: one data root, the paths derived from it, and `beatsight.toml`. Every path of the platform is made here.

Environment beats file; the command line, which passes its own `data_root` and overrides, beats both. The file is
`beatsight.toml` in the data root. All problems of a file are collected and reported at once.
"""

import dataclasses
import os
import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from beatsight_core.errors import SettingsError
from beatsight_core.toml import section, unknown, values_of

SETTINGS_FILE = "beatsight.toml"

NAME_BYTES = 255
"""Longest name of a folder on the file systems that matter here."""

_ENVIRONMENT_FOLDERS = {
    "dataset_dir": ("BEATSIGHT_DATASET_DIR", "datasets"),
    "cache_dir": ("BEATSIGHT_CACHE_DIR", "features"),
    "health_dir": ("BEATSIGHT_HEALTH_DIR", "reports/health"),
    "metrics_dir": ("BEATSIGHT_METRICS_DIR", "reports/metrics"),
    "run_root": ("BEATSIGHT_RUN_ROOT", "runs"),
    "wandb_root": ("BEATSIGHT_WANDB_ROOT", "wandb"),
}
"""Attribute -> environment variable that moves it, and its place under the data root."""

PRESETS = ("warmup", "baseline", "long_run")
"""The presets of training, each of which may have a `[training.<preset>]`."""

PROMOTION_FIGURES = ("accuracy", "f1", "f1_kick", "f1_snare", "f1_crash", "loss", "exact_match")
"""What `[gates.promotion]` may set; `f1` stands for all three F1. Their limits are promotion's."""

PROBE_FIGURES = ("accuracy", "recall", "min_positives", "max_confusion_growth")
"""What `[gates.probe]` may set."""

LOOSENED = "loosened"
"""Key of a reason in `[gates.promotion]` and `[gates.probe]`; without one their limits can only be tightened."""

LAYOUT_VARIABLES = (
    "BEATSIGHT_DATA_ROOT", "BEATSIGHT_SECONDARY_ROOT", *(variable for variable, _ in _ENVIRONMENT_FOLDERS.values()),
)  # fmt: skip
"""All variables that say where things are."""


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
        unknown_labels: "reject" an event with a component that the taxonomy lacks, or "ignore" that component.
        sampling: Values that replace those of the sampling profile: exponent, least, most, events_per_session,
            events_per_file.
    """

    name: str
    roots: tuple[Path, ...] = ()
    licence: str = "unknown"
    coalesce_ms: float = 30.0
    expected_sample_rate_hz: int | None = None
    split_by: tuple[str, ...] = ()
    unknown_labels: str = "reject"
    sampling: Mapping[str, float] = field(default_factory=dict)


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
        max_misalignment_ms: Attack minus onset in a source set, late or early.
        promotion: Criterion -> limit, tighter than the profile's; a looser one needs a reason.
        probe: Figure of the warm-up probe -> limit; the same holds.
        loosened: "promotion" or "probe" -> the reason for limits looser than the profile's, shown wherever they count.
    """

    profile: str = "production"
    min_counts: Mapping[str, int] = field(default_factory=dict)
    required_techniques: tuple[str, ...] | None = None
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


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything configured, resolved and checked.

    Attributes:
        data_root: Absolute folder that all else is derived from.
        secondary_root: A second drive whose `raw/` is searched after the first's.
        dataset_dir: Shards and indexes.
        cache_dir: Feature caches, by spec digest.
        health_dir: Health reports.
        metrics_dir: Evaluation reports.
        run_root: Training runs.
        wandb_root: Tracking files.
        taxonomy: Name of the component set.
        sources: Configured source sets by name; `source()` gives any.
        dataset: `[dataset]`.
        features: `[features]`.
        gates: `[gates]`.
        tracking: `[tracking]`.
        training: `[training.<preset>]`: overrides of a preset's values.
        release: `[release]`.
        file: The settings file that was read, if there is one.
    """

    data_root: Path
    dataset_dir: Path
    cache_dir: Path
    health_dir: Path
    metrics_dir: Path
    run_root: Path
    wandb_root: Path
    secondary_root: Path | None = None
    taxonomy: str = "core"
    sources: Mapping[str, SourceSet] = field(default_factory=dict)
    dataset: DatasetSettings = DatasetSettings()
    features: FeatureSettings = FeatureSettings()
    gates: GateSettings = field(default_factory=GateSettings)
    tracking: TrackingSettings = TrackingSettings()
    training: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    release: ReleaseSettings = ReleaseSettings()
    file: Path | None = None

    @property
    def manifests_dir(self) -> Path:
        """The inbox that the sensor watches."""
        return self.data_root / "manifests"

    @property
    def catalog_dir(self) -> Path:
        """One folder per manifest, and the probe cache of the audio."""
        return self.data_root / "catalog"

    @property
    def shards_dir(self) -> Path:
        """Immutable shards, shared by all manifests."""
        return self.dataset_dir / "shards"

    @property
    def models_dir(self) -> Path:
        """Versions and the champion."""
        return self.data_root / "models"

    @property
    def dataset_pages_dir(self) -> Path:
        """A page per dataset."""
        return self.data_root / "reports" / "datasets"

    @property
    def archive_dir(self) -> Path:
        """Archived runs by day."""
        return self.data_root / "reports" / "archive"

    @property
    def dagster_home(self) -> Path:
        """Dagster's state."""
        return self.data_root / "dagster"

    def source(self, name: str) -> SourceSet:
        """The source set of that name with its roots filled in; an unconfigured one gets the defaults."""
        known = self.sources.get(name) or SourceSet(name)
        if known.roots:
            return known
        bases = [self.data_root] + ([self.secondary_root] if self.secondary_root else [])
        roots = [base / "raw" for base in bases]
        # A manifest's word never leads out of raw/, and a name that no folder can have is no error.
        if Path(name).name == name and name != ".." and len(os.fsencode(name)) <= NAME_BYTES:
            roots = [base / "raw" / name for base in bases] + roots
        return dataclasses.replace(known, roots=tuple(roots))


def load_settings(data_root: str | Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Read environment and `beatsight.toml` into `Settings`. Creates nothing.

    Args:
        data_root: Beats `BEATSIGHT_DATA_ROOT`; default `./data`.
        environment: Instead of `os.environ`.

    Raises:
        SettingsError: The file or a variable is wrong; all problems in one message.
    """
    env = os.environ if environment is None else environment
    given = str(data_root) if data_root is not None else env.get("BEATSIGHT_DATA_ROOT") or "data"
    root = resolve_path(given, Path.cwd())
    file = root / SETTINGS_FILE
    table = _read_toml(file)
    problems: list[str] = []
    written = table.pop("secondary_root", None)  # taken out also where the environment beats it
    secondary = env.get("BEATSIGHT_SECONDARY_ROOT") or written
    folders = {
        name: resolve_path(env.get(variable) or str(root / place), root)
        for name, (variable, place) in _ENVIRONMENT_FOLDERS.items()
    }
    settings = Settings(
        data_root=root,
        secondary_root=resolve_path(str(secondary), root) if secondary else None,
        taxonomy=_taxonomy(table.pop("taxonomy", "core"), problems),
        sources=_sources(table.pop("sources", {}), root, problems),
        dataset=section(DatasetSettings, table.pop("dataset", {}), "dataset", problems),
        features=section(FeatureSettings, table.pop("features", {}), "features", problems),
        gates=_gates(table.pop("gates", {}), problems),
        tracking=_tracking(table.pop("tracking", {}), env, problems),
        training=_training(table.pop("training", {}), problems),
        release=_release(table.pop("release", {}), root, problems),
        file=file if file.exists() else None,
        **folders,
    )
    known = [f.name for f in dataclasses.fields(Settings)]
    problems += [unknown(key, "", known) for key in table]
    problems += _unknown_names(settings) + _contradictions(settings)
    if problems:
        raise SettingsError("Settings are wrong: " + "; ".join(problems), where=file, do="mend these values")
    return settings


def resolve_path(text: str, base: Path) -> Path:
    r"""An absolute path from what a person typed: `~`, `C:\folder` and `/mnt/c/folder` work on Windows and in WSL.

    Args:
        text: The path as typed.
        base: What a relative path is relative to.
    """
    drive = re.match(r"^([A-Za-z]):[\\/](.*)$", text)
    mounted = re.match(r"^/mnt/([A-Za-z])(?:/(.*))?$", text)
    if drive and sys.platform != "win32":
        text = f"/mnt/{drive[1].lower()}/{drive[2]}".replace("\\", "/")
    elif mounted and sys.platform == "win32":
        text = f"{mounted[1].upper()}:/{mounted[2] or ''}"
    return Path(os.path.abspath(base / Path(text).expanduser()))  # noqa: PTH100 - keeps symbolic links as typed


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}
    except NotADirectoryError as error:
        raise SettingsError("The data root is not a folder", where=file.parent, do="name a folder") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(
            "The settings file is not valid TOML",
            where=file,
            why=str(error),
            do="mend that line; write Windows paths in 'single quotes'",
        ) from error
    except OSError as error:
        raise SettingsError("The settings file cannot be read", where=file, why=str(error)) from error


def _taxonomy(value: Any, problems: list[str]) -> str:
    if value not in ("core", "extended"):
        problems.append(f"taxonomy must be 'core' or 'extended', not {value!r}")
        return "core"
    return str(value)


def _sources(table: Any, root: Path, problems: list[str]) -> dict[str, SourceSet]:
    if not isinstance(table, dict):
        problems.append("[sources] must hold one table per source set")
        return {}
    sources = {}
    for name, entry in table.items():
        source = section(SourceSet, entry, f"sources.{name}", problems, name=name)
        roots = tuple(resolve_path(str(path), root) for path in source.roots)
        sources[name] = dataclasses.replace(source, roots=roots)
    return sources


def _gates(table: Any, problems: list[str]) -> GateSettings:
    """`[gates]`, in which the tables of numbers may also hold a reason in words."""
    reasons: dict[str, str] = {}
    plain = dict(table) if isinstance(table, dict) else table
    for name in ("promotion", "probe"):
        limits = plain.get(name) if isinstance(plain, dict) else None
        if not isinstance(limits, dict) or LOOSENED not in limits:
            continue
        plain[name] = {figure: limit for figure, limit in limits.items() if figure != LOOSENED}
        reason = limits[LOOSENED]
        if isinstance(reason, str) and reason.strip():
            reasons[name] = " ".join(reason.split())
        else:
            problems.append(f"gates.{name}.{LOOSENED} must be a reason in words, not {reason!r}")
    gates: GateSettings = section(GateSettings, plain, "gates", problems, loosened=reasons)
    return gates


def _tracking(table: Any, env: Mapping[str, str], problems: list[str]) -> TrackingSettings:
    tracking: TrackingSettings = section(TrackingSettings, table, "tracking", problems)
    return dataclasses.replace(
        tracking,
        mode=env.get("WANDB_MODE") or tracking.mode,
        group=env.get("WANDB_RUN_GROUP") or tracking.group,
    )


def _training(table: Any, problems: list[str]) -> dict[str, dict[str, Any]]:
    if isinstance(table, dict) and all(isinstance(entry, dict) for entry in table.values()):
        return {name: dict(entry) for name, entry in table.items()}
    problems.append("[training] must hold one table per preset, as [training.warmup]")
    return {}


def _release(table: Any, root: Path, problems: list[str]) -> ReleaseSettings:
    """`[release]` and its list of configurations, all paths absolute."""
    table = dict(table) if isinstance(table, dict) else table
    listed = table.pop("configs", []) if isinstance(table, dict) else []
    release: ReleaseSettings = section(ReleaseSettings, table, "release", problems, configs=())
    return dataclasses.replace(
        release,
        roots=tuple(resolve_path(str(path), root) for path in release.roots),
        current_status=resolve_path(str(release.current_status), root) if release.current_status else None,
        next_steps=resolve_path(str(release.next_steps), root) if release.next_steps else None,
        configs=_configs(listed, root, problems),
    )


def _configs(listed: Any, root: Path, problems: list[str]) -> tuple[ConfigTarget, ...]:
    if not isinstance(listed, list):
        problems.append("[[release.configs]] must be a list of tables")
        return ()
    targets = []
    for number, entry in enumerate(listed):
        where = f"release.configs[{number}]"
        values = entry if isinstance(entry, dict) else {}
        if missing := [name for name in ("file", "key") if not values.get(name)]:
            problems.append(f"{where} lacks {' and '.join(missing)}")
            continue
        known = values_of(ConfigTarget, values, f"{where}.", problems)
        if {"file", "key"} <= set(known):
            targets.append(ConfigTarget(**{**known, "file": resolve_path(str(known["file"]), root)}))
    return tuple(targets)


def _unknown_names(settings: Settings) -> list[str]:
    """Tables and figures that nothing would ever read."""
    presets = [unknown(name, "training.", list(PRESETS)) for name in settings.training if name not in PRESETS]
    gates = ("promotion", settings.gates.promotion, PROMOTION_FIGURES), ("probe", settings.gates.probe, PROBE_FIGURES)
    return presets + [
        unknown(name, f"gates.{table}.", list(known)) for table, figures, known in gates for name in figures
        if name not in known
    ]  # fmt: skip


def _contradictions(settings: Settings) -> list[str]:
    data, mel = settings.dataset, settings.features
    checks = [
        (data.sample_rate_hz < 8000, "dataset.sample_rate_hz must be at least 8000"),
        (data.pre_ms < 0 or data.tail_ms <= 0, "dataset.pre_ms must not be negative and dataset.tail_ms not zero"),
        (data.encoding not in ("wav", "flac"), f"dataset.encoding must be wav or flac, not {data.encoding!r}"),
        (not 0 < data.val_ratio < 1, "dataset.val_ratio must lie between 0 and 1"),
        (not 0 <= data.calibration_ratio < 1, "dataset.calibration_ratio must lie in [0, 1)"),
        (data.unit_hits < 1 or data.workers < 0, "dataset.unit_hits must be positive and dataset.workers not negative"),
        (min(mel.n_fft, mel.hop_length, mel.n_mels) < 1, "features.n_fft, hop_length and n_mels must be positive"),
        (not 0 <= mel.f_min_hz < mel.f_max_hz <= data.sample_rate_hz / 2,
         "features.f_min_hz < features.f_max_hz <= half of dataset.sample_rate_hz must hold"),
        (mel.storage not in ("float16", "uint8"), f"features.storage must be float16 or uint8, not {mel.storage!r}"),
        (settings.gates.profile not in ("production", "demo"), "gates.profile must be production or demo"),
        (min(settings.release.max_latency_ms, settings.release.max_size_mb) <= 0,
         "release.max_latency_ms and release.max_size_mb must be positive"),
        (settings.tracking.mode not in ("disabled", "offline", "online", "shared", "dryrun"),
         "tracking.mode, or the variable WANDB_MODE, must be disabled, offline or online, not "
         f"{settings.tracking.mode!r}"),
    ]  # fmt: skip
    problems = [problem for wrong, problem in checks if wrong]
    for source in settings.sources.values():
        if source.unknown_labels not in ("reject", "ignore"):
            problems.append(f"sources.{source.name}.unknown_labels must be reject or ignore")
        if source.coalesce_ms < 0:
            problems.append(f"sources.{source.name}.coalesce_ms must not be negative")
        if wrong := set(source.split_by) - {"drummer_id", "kit_id", "room_id"}:
            problems.append(f"sources.{source.name}.split_by knows drummer_id, kit_id, room_id, not {sorted(wrong)}")
    return problems
