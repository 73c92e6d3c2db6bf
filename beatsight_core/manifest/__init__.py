"""From a manifest's lines to a catalog of events and hits."""
