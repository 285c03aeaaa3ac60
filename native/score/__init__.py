"""Several models side by side on the same tokens: how sure each is of what follows, how far they differ."""
