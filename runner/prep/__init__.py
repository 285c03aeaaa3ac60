"""Rendering of untrusted chat templates in a child process under limits of memory and time."""
