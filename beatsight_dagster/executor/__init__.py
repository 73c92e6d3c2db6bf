"""Runs each step in a process of its own, on leased devices where it asks for them."""

GPU_TAG = "beatsight/gpu"
"""Op tag: how many devices the step wants. "0" or no tag: none."""
