"""Where each manifest stands on its way to a model: read from the disk alone; nothing is written, no torch loaded."""
