"""Accelerators of this machine: which there are, and who holds which."""
