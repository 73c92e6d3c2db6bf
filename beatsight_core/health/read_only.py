"""Health where nothing may be written: on a read-only drive, in another user's data root. The verdict is the same."""

import logging
import os
import tempfile
from pathlib import Path

from beatsight_core.audio.inventory import Inventory, build_inventory, survey_audio
from beatsight_core.files import unless_read_only
from beatsight_core.manifest.read_manifest import Catalog
from beatsight_core.progress import Progress
from beatsight_core.settings import Settings

logger = logging.getLogger("beatsight")


def new_inventory(settings: Settings, catalog: Catalog, progress: Progress) -> Inventory:
    """Make a new inventory of a catalog's audio, kept beside the catalog unless nothing may be written there."""
    with unless_read_only():
        return build_inventory(settings, catalog, progress=progress)
    return survey_audio(settings, catalog, remember=False, progress=progress)


def reports_folder(settings: Settings) -> Path:
    """Return the folder of a report: where settings say, or in a new folder if nothing may be written there."""
    folder = settings.health_dir
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if os.access(there, os.W_OK):
        return folder
    elsewhere = Path(tempfile.mkdtemp(prefix="beatsight-health-"))
    said = "The report goes to %s, as nothing may be written to %s; BEATSIGHT_HEALTH_DIR names another folder"
    logger.warning(said, elsewhere, folder)
    return elsewhere
