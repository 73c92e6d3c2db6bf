"""What settings say that cannot be: names that nothing reads, and values that contradict each other."""

import re

from beatsight_core.settings.layout import Settings
from beatsight_core.settings.sections import (
    CHANNELS,
    MOST_SHIFT_MS,
    PRESETS,
    PROBE_FIGURES,
    PROMOTION_FIGURES,
    SourceSet,
)
from beatsight_core.toml import unknown
from beatsight_core.units import GREATEST_RATE_HZ

HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?(:\d{1,5})?")
"""A name, or an address of IPv4, with or without a port."""


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
        (not 8000 <= data.sample_rate_hz <= GREATEST_RATE_HZ,
         f"dataset.sample_rate_hz must be at least 8000 and at most {GREATEST_RATE_HZ}"),
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
    problems += [
        f"web.hosts, or the variable BEATSIGHT_WEB_HOSTS, must name hosts as drums.example.org or "
        f"drums.example.org:8443, without http:// or *, not {host!r}"
        for host in settings.web.hosts
        if not HOST.fullmatch(host)
    ]
    return problems + [problem for source in settings.sources.values() for problem in _wrong_in(source)]


def _wrong_in(source: SourceSet) -> list[str]:
    """Values of a source set that are impossible."""
    problems = []
    if source.unknown_labels not in ("reject", "ignore"):
        problems.append(f"sources.{source.name}.unknown_labels must be reject or ignore")
    if source.channel not in CHANNELS:
        problems.append(f"sources.{source.name}.channel must be {', '.join(CHANNELS)}, not {source.channel!r}")
    if source.coalesce_ms < 0:
        problems.append(f"sources.{source.name}.coalesce_ms must not be negative")
    if abs(source.shift_ms) > MOST_SHIFT_MS:
        problems.append(f"sources.{source.name}.shift_ms must lie within {MOST_SHIFT_MS:,.0f} ms")
    if wrong := set(source.split_by) - {"drummer_id", "kit_id", "room_id"}:
        problems.append(f"sources.{source.name}.split_by knows drummer_id, kit_id, room_id, not {sorted(wrong)}")
    return problems
