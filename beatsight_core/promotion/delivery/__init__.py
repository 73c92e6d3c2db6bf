"""A model handed to other programs: exported, checked in a process of its own, described."""
