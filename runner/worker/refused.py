"""Requests that this model cannot serve."""

from __future__ import annotations

from typing import Any

from runner.protocol import Failed


class Refused(Exception):
    """The request is wrong for this model: its sentence and `code` reach the user, with status 400.

    `more` are the fields that `Failed` has behind these.
    """

    def __init__(self, message: str, code: str = "invalid_request", *more: Any) -> None:
        super().__init__(message)
        self.code = code
        self._more = more

    def of(self, request_id: str) -> Failed:
        return Failed(request_id, self.code, str(self), 400, *self._more)
