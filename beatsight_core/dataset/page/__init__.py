"""The page of a dataset: its figures, and clips to see and to hear."""
