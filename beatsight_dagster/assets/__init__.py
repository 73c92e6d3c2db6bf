"""The assets: each reads its config, calls one function of `beatsight_core`, and shows what came of it."""

OWNERS = ["team:beatsight"]
"""Who answers for the assets."""
