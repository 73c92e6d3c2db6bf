"""What must hold of each asset's result. The limits are those of `beatsight_core`; a file for each file of assets.

Checks are evaluated in the step that makes the asset, from the result that it already has, so they cost nothing and
each partition has its own. A blocking one that fails fails the step, and nothing behind it starts in that run.
"""
