"""What is measured of a corpus: counts of events and hits, and how clips sound."""
