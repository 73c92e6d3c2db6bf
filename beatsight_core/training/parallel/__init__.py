"""One run shared by several processes, one device each."""
