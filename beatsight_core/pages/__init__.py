"""Reports as single HTML pages, and the small pictures that go with them. Knows nothing of what it shows."""
