"""Archives of runs: everything that a later reader needs, in one folder that does not change."""
