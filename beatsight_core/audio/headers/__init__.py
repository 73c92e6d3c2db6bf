"""What an audio file says about itself: the formats of headers, and the limits that every header is held to."""
