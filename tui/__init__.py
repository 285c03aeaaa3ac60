"""The terminal app: an HTTP client of the daemon."""
