"""Several models side by side on the same tokens: how sure each is of what follows, and how far they differ."""
