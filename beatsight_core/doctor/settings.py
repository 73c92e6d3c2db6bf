"""Settings that are read only when their work begins: checked now, so that no night ends with a misspelt value.

Names that nothing reads, wrong types and contradictions of the settings file stop every verb at once; they are not
looked for again.
"""

import functools
from collections.abc import Callable
from typing import Any

from beatsight_core.dataset.shards.shard_schema import ClipSpec
from beatsight_core.doctor.findings import Finding
from beatsight_core.errors import DeviceError, SettingsError
from beatsight_core.features.mel_transform import make_mel_spectrogram
from beatsight_core.features.spec import FeatureSpec
from beatsight_core.gates.release_limits import limits_for, probe_limits
from beatsight_core.manifest.catalog import sources_of_catalogs
from beatsight_core.manifest.sampling import profile_of as sampling_of
from beatsight_core.manifest.shifts import Shifts
from beatsight_core.runs.presets import load_preset
from beatsight_core.settings import PRESETS, Settings
from beatsight_core.settings.validation import nearest


def examine_settings(settings: Settings, findings: list[Finding]) -> dict[str, Any]:
    """Look whether all that the settings name can be used.

    Args:
        settings: Settings as they were read, whose values are tried.
        findings: List that receives a finding for everything that is wrong.

    Returns:
        The section `settings`: what was looked at -> "fine", or what is wrong.
    """
    checks: dict[str, Callable[[], object]] = {
        **{f"training.{preset}": functools.partial(load_preset, settings, preset) for preset in PRESETS},
        "gates.promotion": lambda: limits_for(settings),
        "gates.probe": lambda: probe_limits(settings),
        "dataset": lambda: ClipSpec.of(settings),
        "dataset.sampling": lambda: sampling_of(settings),
        "sources": lambda: Shifts.from_settings(settings),
        "features": lambda: make_mel_spectrogram(FeatureSpec.from_settings(settings)),
        "release.roots": lambda: _check_roots(settings),
    }
    shown = {}
    for name, check in checks.items():
        shown[name] = "fine"
        try:
            check()
        except SettingsError as error:
            shown[name] = "wrong"
            do = str(error.do or "mend the settings file").rstrip(".")
            findings.append(Finding("error", _without_advice(error), f"{do[:1].upper()}{do[1:]}"))
        except (DeviceError, ModuleNotFoundError):  # told among the packages
            shown[name] = "not looked at"
    findings += _misspelt_sources(settings)
    return shown


def _misspelt_sources(settings: Settings) -> list[Finding]:
    """Tables of source sets that no manifest has, and that are called nearly like one that some has."""
    there = sources_of_catalogs(settings)
    unused = [name for name in settings.sources if name not in there and nearest(name, there - set(settings.sources))]
    return [
        Finding(
            "warning",
            f"No manifest has a source set {name}, so nothing reads [sources.{name}]",
            f"See whether another name is meant{nearest(name, there)}",
        )
        for name in unused
    ]


def _without_advice(error: SettingsError) -> str:
    return str(type(error)(error.what, where=error.where, why=error.why)).rstrip(".")


def _check_roots(settings: Settings) -> None:
    gone = [str(root) for root in settings.release.roots if not root.is_dir()]
    if gone:
        do = "mount them, or take them out"
        raise SettingsError(f"release.roots names folders that are not there: {', '.join(gone)}", do=do)
