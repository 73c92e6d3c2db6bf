"""The platform's Dagster side: assets, checks, jobs, sensors and the device executor over `beatsight_core`."""
