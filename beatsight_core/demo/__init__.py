"""A synthetic corpus in the layout of a real one: kits by physics, performances by style, faults on purpose."""
