"""The folder that new manifests are put into: its entries, and what a person asked of them."""
