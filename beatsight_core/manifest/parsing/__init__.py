"""From the bytes of a manifest to checked columns of events."""
