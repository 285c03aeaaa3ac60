"""Requests that this model cannot serve."""

from __future__ import annotations

from typing import Any

from runner.protocol import Failed


class Refused(Exception):
    """The request is wrong for this model: its sentence and `code` reach the user.

    `more` are the fields that `Failed` has behind these.
    """

    status = 400

    def __init__(self, message: str, code: str = "invalid_request", *more: Any) -> None:
        super().__init__(message)
        self.code = code
        self._more = more

    def of(self, request_id: str) -> Failed:
        return Failed(request_id, self.code, str(self), self.status, *self._more)


class Cancelled(Refused):
    """Nobody wants the answer any more."""

    status = 499

    def __init__(self) -> None:
        super().__init__("the request was cancelled", "cancelled")


class Unreadable(Refused):
    """What the model made of a text is no numbers."""

    status = 422

    def __init__(self) -> None:
        super().__init__(
            "the model's numbers are not finite: its file is damaged, or this text is too much for it",
            "not_finite",
        )
