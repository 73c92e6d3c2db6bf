"""What lies on the shelf of datasets: who uses it, what it takes, and how it is cleared."""
