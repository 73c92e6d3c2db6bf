"""How it is hurt: one file each, with `PLACE` in the report, rounds `WHOLE` and `SHORT`, and `run`."""
