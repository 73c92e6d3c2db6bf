"""The `beatsight` command: one file per group of verbs, each verb one call into the library."""
