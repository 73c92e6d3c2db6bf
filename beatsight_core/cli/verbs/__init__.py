"""The verbs, one file for each group; each verb is one call into the library."""
