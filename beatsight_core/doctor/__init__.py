"""A look at the installation and the data layout: what is there, what is wrong, how to mend it.

Nothing is created or changed here. A finding is an error when work cannot go on without it, else a warning.
"""

from pathlib import Path

from beatsight_core.alerts.receiver_secrets import variables_of_receivers
from beatsight_core.doctor.alerts import examine_alerts
from beatsight_core.doctor.devices import examine_devices
from beatsight_core.doctor.external import examine_external_files
from beatsight_core.doctor.findings import Diagnosis, Finding
from beatsight_core.doctor.packages import examine_packages, examine_tracking
from beatsight_core.doctor.places import examine_layout, examine_sources, examine_space
from beatsight_core.doctor.settings import examine_settings
from beatsight_core.doctor.variables import examine_environment
from beatsight_core.settings import Settings

__all__ = ["Diagnosis", "Finding", "examine"]


def examine(settings: Settings, ref: str | Path | None = None) -> Diagnosis:
    """Look at everything the platform needs.

    Args:
        settings: The layout to look at.
        ref: Manifest whose need of space is estimated; default: every manifest of the inbox.

    Raises:
        ManifestError: `ref` names no manifest.
    """
    findings: list[Finding] = []
    sections = {
        "settings": examine_settings(settings, findings),
        "environment": examine_environment(findings, variables_of_receivers(settings)),
        "layout": examine_layout(settings, findings),
        "sources": examine_sources(settings, findings),
        "space": examine_space(settings, ref, findings),
        "devices": examine_devices(findings),
        "tracking": examine_tracking(settings, findings),
        "alerts": examine_alerts(settings, findings),
        "external files": examine_external_files(settings, findings),
        "packages": examine_packages(findings),
    }
    return Diagnosis(sections, tuple(findings))
