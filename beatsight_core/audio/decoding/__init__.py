"""From a file to samples: decoding block by block, where a file ends, and the one change of sample rate."""
