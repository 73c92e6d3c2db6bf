"""Audio in: where files are, what their headers say, decoding to one rate, and the one slicer."""
