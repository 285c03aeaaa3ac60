"""The verbs of the daemon: the one core under all dialects."""
