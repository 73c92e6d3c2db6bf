"""Settings: one data root, the paths derived from it, and `beatsight.toml`. Every path of the platform is made here.

Environment beats file; the command line, which passes its own `data_root` and overrides, beats both. The file is
`beatsight.toml` in the data root. All problems of a file are collected and reported at once.
"""

from beatsight_core.settings.layout import LAYOUT_VARIABLES, SETTINGS_FILE, Settings, resolve_path
from beatsight_core.settings.reading import load_settings
from beatsight_core.settings.sections import (
    CHANNELS,
    PRESETS,
    PROBE_FIGURES,
    PROMOTION_FIGURES,
    ConfigTarget,
    DatasetSettings,
    FeatureSettings,
    GateSettings,
    ReleaseSettings,
    SourceSet,
    TrackingSettings,
    WebSettings,
)

__all__ = [
    "CHANNELS",
    "LAYOUT_VARIABLES",
    "PRESETS",
    "PROBE_FIGURES",
    "PROMOTION_FIGURES",
    "SETTINGS_FILE",
    "ConfigTarget",
    "DatasetSettings",
    "FeatureSettings",
    "GateSettings",
    "ReleaseSettings",
    "Settings",
    "SourceSet",
    "TrackingSettings",
    "WebSettings",
    "load_settings",
    "resolve_path",
]
