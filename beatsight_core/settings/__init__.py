"""Settings: one data root, the paths derived from it, and `beatsight.toml`. Every path of the platform is made here.

Environment beats file; the command line, which passes its own `data_root` and overrides, beats both. The file is
`beatsight.toml` in the data root. All problems of a file are collected and reported at once.
"""

from beatsight_core.settings.layout import LAYOUT_VARIABLES, SETTINGS_FILE, Settings
from beatsight_core.settings.reading import load_settings
from beatsight_core.settings.sections import (
    ALERT_KINDS,
    CHANNELS,
    COALESCE_MS,
    PRESETS,
    PROBE_FIGURES,
    PROMOTION_FIGURES,
    AlertKind,
    AlertReceiver,
    AlertSettings,
    ConfigTarget,
    DatasetSettings,
    FeatureSettings,
    GateSettings,
    Profile,
    ReleaseSettings,
    SourceSet,
    TrackingSettings,
    WebSettings,
)
from beatsight_core.settings.typed_paths import resolve_path

__all__ = [
    "ALERT_KINDS",
    "CHANNELS",
    "COALESCE_MS",
    "LAYOUT_VARIABLES",
    "PRESETS",
    "PROBE_FIGURES",
    "PROMOTION_FIGURES",
    "SETTINGS_FILE",
    "AlertKind",
    "AlertReceiver",
    "AlertSettings",
    "ConfigTarget",
    "DatasetSettings",
    "FeatureSettings",
    "GateSettings",
    "Profile",
    "ReleaseSettings",
    "Settings",
    "SourceSet",
    "TrackingSettings",
    "WebSettings",
    "load_settings",
    "resolve_path",
]
