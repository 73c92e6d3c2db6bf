"""The index of all reports: what there is, how it stands, and what to do next."""
