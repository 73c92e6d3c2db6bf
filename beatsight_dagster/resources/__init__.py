"""What assets are given beside their config."""
