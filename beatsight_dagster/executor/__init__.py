"""Runs each step in a process of its own, on leased devices where it asks for them."""
