"""Drums, cymbals, kits and rooms by physics: the sounds that the demo and recast play."""
