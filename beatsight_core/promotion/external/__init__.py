"""Files of other programs that name the champion, and how they are kept up to date."""
