"""A graph that runs in a terminal: a line for each event, and a bar below them."""
