"""The daemon, its API, its workers and the command line."""
