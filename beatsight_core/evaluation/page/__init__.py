"""The page of an evaluation: figures, comparisons, and mistakes to see and to hear."""
