"""What is hurt: one file each, with a list `SUBJECTS`."""
