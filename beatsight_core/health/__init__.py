"""Whether a corpus is fit to train on: figures from what is on disk, gates over them, a report to look at."""
