"""How good a model is, on what, and how sure that is; and what it hears in a new recording."""
