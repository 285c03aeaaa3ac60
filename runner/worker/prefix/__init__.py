"""Prefix reuse: what was computed for one request and need not be computed for the next."""
