"""Requests that this model cannot serve."""

from __future__ import annotations


class Refused(Exception):
    """The request is wrong for this model: its sentence and `code` reach the user, with status 400."""

    def __init__(self, message: str, code: str = "invalid_request") -> None:
        super().__init__(message)
        self.code = code
