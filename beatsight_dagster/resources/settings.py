"""The platform's settings as a resource: which data root an asset works on."""

import dagster as dg
from pydantic import Field

from beatsight_core.runs.presets import load_checked_settings
from beatsight_core.settings import Settings


class SettingsResource(dg.ConfigurableResource["SettingsResource"]):
    """Settings of a data root: environment and `beatsight.toml`, read anew by every step."""

    data_root: str | None = Field(
        default=None, description="Folder that holds everything. Default: BEATSIGHT_DATA_ROOT, else ./data."
    )

    def load(self) -> Settings:
        """The settings.

        Raises:
            SettingsError: The file, a variable, or a value of any preset is wrong.
        """
        return load_checked_settings(self.data_root)
