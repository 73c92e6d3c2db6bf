"""Weights & Biases as a view of a run's history."""
