"""A run on disk: its configuration, records, curves and environment. Imports no torch."""
