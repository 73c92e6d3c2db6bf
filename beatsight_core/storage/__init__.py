"""What lies on the disks: datasets, who uses them, what they take, and how they are cleared."""
