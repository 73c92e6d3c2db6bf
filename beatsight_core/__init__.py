"""BeatSight's domain: manifests, audio, datasets, features, training, judgement, release. No Dagster in here."""
