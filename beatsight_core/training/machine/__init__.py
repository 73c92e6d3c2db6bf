"""Differences between machines: memory, CUDA, random state, signals, time limits."""
