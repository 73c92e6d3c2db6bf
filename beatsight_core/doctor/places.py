"""Where data lies: the layout, the sources of audio, free space."""

import os
import shutil
from pathlib import Path

from beatsight_core.audio.roots import mounted_roots
from beatsight_core.dataset.index import index_paths
from beatsight_core.dataset.space import estimated_bytes
from beatsight_core.doctor.findings import Finding
from beatsight_core.errors import BeatSightError
from beatsight_core.features.spec import FeatureSpec
from beatsight_core.manifest.catalog import sources_of_catalogs
from beatsight_core.manifest.inbox.entries import inbox_entries
from beatsight_core.manifest.read_manifest import manifest_key, resolve_manifest
from beatsight_core.safe_text import for_terminal
from beatsight_core.settings import Settings
from beatsight_core.settings.paths import pattern_problem
from beatsight_core.typed_json import JsonObject
from beatsight_core.units import milliseconds_to_samples

_BYTES_PER_EVENT = 440
"""Typical length of a manifest's line: an estimate before the manifest has been read."""
_COMPRESSION = 8
"""Typical ratio of a compressed manifest."""
_RUN_BYTES = 200 * 2**20
"""A run with its checkpoints, a report, a model version."""


def examine_layout(settings: Settings, findings: list[Finding]) -> JsonObject:
    """Look whether the folders of the layout can be written to.

    Args:
        settings: Layout to look at.
        findings: List that receives what is wrong.

    Returns:
        The section `layout`.
    """
    root = settings.data_root
    existing = _existing(root)
    if not root.is_dir():
        findings.append(
            Finding("warning", f"The data root {root} is not there yet", "The first step that writes makes it")
        )
    if not _writable(existing):
        findings.append(
            Finding("error", f"{existing} cannot be written to", "Mend its permissions or set BEATSIGHT_DATA_ROOT")
        )
    if problem := pattern_problem(settings.dagster_home / "dagster.yaml"):
        findings.append(Finding("warning", f"Dagster cannot work on {root}: {problem}", "Rename the data root"))
    for folder in (
        settings.catalog_dir,
        settings.dataset_dir,
        settings.cache_dir,
        settings.run_root,
        settings.models_dir,
    ):
        if folder.exists() and not (folder.is_dir() and _writable(folder)):
            findings.append(
                Finding(
                    "error", f"{folder} is not a folder that can be written to", "Move it away or mend its permissions"
                )
            )
    return {
        "data root": str(root),
        "secondary root": str(settings.secondary_root) if settings.secondary_root else None,
        "settings file": str(settings.file) if settings.file else "none (defaults)",
        "manifests (inbox)": str(settings.manifests_dir),
        "catalog": str(settings.catalog_dir),
        "datasets": str(settings.dataset_dir),
        "features": str(settings.cache_dir),
        "runs": str(settings.run_root),
        "models": str(settings.models_dir),
        "health reports": str(settings.health_dir),
        "metrics": str(settings.metrics_dir),
        "archive": str(settings.archive_dir),
        "wandb": str(settings.wandb_root),
        "dagster": str(settings.dagster_home),
    }


def examine_sources(settings: Settings, findings: list[Finding]) -> JsonObject:
    """Look whether the roots of all sources of audio are mounted.

    Args:
        settings: Layout to look at.
        findings: List that receives what is wrong.

    Returns:
        The section `sources`.
    """
    names = set(settings.sources) | sources_of_catalogs(settings)
    shown: JsonObject = {}
    for name in sorted(names):
        source = settings.source(name)
        roots = mounted_roots(source)
        shown[name] = [{"root": str(status.root), "mounted": status.mounted} for status in roots]
        configured = bool(settings.sources.get(name) and settings.sources[name].roots)
        gone = [str(status.root) for status in roots if not status.mounted]
        if len(gone) == len(roots):
            findings.append(
                Finding("error", f"No root of {name} is mounted: {', '.join(gone)}", "Mount a drive or set its roots")
            )
        elif gone and configured:
            findings.append(
                Finding("warning", f"A root of {name} is not mounted: {', '.join(gone)}", "Mount it before an export")
            )
    return shown


def examine_space(settings: Settings, ref: str | Path | None, findings: list[Finding]) -> JsonObject:
    """Compare the space that is free with what an export of the manifests needs.

    Args:
        settings: Layout to look at.
        ref: Manifest whose need is estimated; default: every manifest of the inbox.
        findings: List that receives what is wrong.

    Returns:
        The section `space`.
    """
    manifests = _usable(settings, findings) if ref is None else [resolve_manifest(settings, ref)]
    needs: dict[str, int] = {}
    for path in manifests:
        try:
            needs[for_terminal(path.name)] = _estimated_need(settings, path)
        except (BeatSightError, OSError) as error:
            said = f"{for_terminal(path.name)} cannot be read: {str(error).rstrip('.')}"
            findings.append(Finding("error", said, "The others go on"))
    free = shutil.disk_usage(_existing(settings.dataset_dir)).free
    need = sum(needs.values()) + _RUN_BYTES
    if need > free:
        findings.append(
            Finding(
                "error",
                f"An export needs about {need / 1e6:,.0f} MB, {free / 1e6:,.0f} MB are free",
                "Free space or move the data root",
            )
        )
    return {"free_bytes": free, "estimated_need_bytes": need, "manifests": {**needs}}


def _usable(settings: Settings, findings: list[Finding]) -> list[Path]:
    """Return the manifests of the inbox; each entry that looks like one and cannot be taken up is a finding."""
    entries = inbox_entries(settings)
    for entry in entries:
        if entry.problem:
            said = f"{for_terminal(entry.path.name)} in the inbox is left out: {entry.problem}"
            findings.append(Finding("warning", said, "The others go on"))
    return [entry.path for entry in entries if not entry.problem]


def _estimated_need(settings: Settings, manifest: Path) -> int:
    """Return the bytes of clips and features of a manifest, by its number of lines; none once it is exported."""
    if index_paths(settings, manifest_key(manifest)):
        return 0
    size = manifest.stat().st_size * (1 if manifest.suffix == ".jsonl" else _COMPRESSION)
    events = size // _BYTES_PER_EVENT
    data = settings.dataset
    clip = 2 * milliseconds_to_samples(data.pre_ms + data.tail_ms, data.sample_rate_hz)
    spec = FeatureSpec.from_settings(settings)
    return estimated_bytes(events * clip, events, 0) + events * spec.clip_bytes


def _existing(path: Path) -> Path:
    """Return the nearest folder above `path` that exists."""
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK)
