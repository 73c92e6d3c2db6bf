"""Figures held against limits: gates, the limits of every profile, and sealed records of verdicts."""
