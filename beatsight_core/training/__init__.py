"""From features to a run: presets, the net, the loop, checkpoints. The same command goes on with a stopped run."""
