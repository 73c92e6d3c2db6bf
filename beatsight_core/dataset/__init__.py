"""Datasets: hits planned into units, units written as immutable shards, shards listed by an index written last."""
