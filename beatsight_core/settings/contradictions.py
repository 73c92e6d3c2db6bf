"""What settings say that cannot be: names that nothing reads, and values that contradict each other."""

from beatsight_core.settings.layout import Settings
from beatsight_core.settings.sections import PRESETS, PROBE_FIGURES, PROMOTION_FIGURES
from beatsight_core.toml import unknown


def unknown_names(settings: Settings) -> list[str]:
    """Tables and figures that nothing would ever read."""
    presets = [unknown(name, "training.", list(PRESETS)) for name in settings.training if name not in PRESETS]
    gates = ("promotion", settings.gates.promotion, PROMOTION_FIGURES), ("probe", settings.gates.probe, PROBE_FIGURES)
    return presets + [
        unknown(name, f"gates.{table}.", list(known)) for table, figures, known in gates for name in figures
        if name not in known
    ]  # fmt: skip


def contradictions(settings: Settings) -> list[str]:
    """Values that are impossible, by themselves or together."""
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
