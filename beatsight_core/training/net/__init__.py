"""The nets, their losses, and the augmentation of their input."""
