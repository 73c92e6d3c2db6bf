"""Clips on their way into the net: where they lie, which are drawn, in which order."""
