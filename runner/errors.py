"""The daemon's branch of the error tree (root and store branch: `modelstore.errors`).

NybbleError
├── UserError
│   ├── PromptTooLong        prompt does not fit the context (400)
│   ├── AnswerUnread         its reader takes nothing of an answer without end (400)
│   ├── CannotShift          the model cannot forget a part of its context (400)
│   ├── InvalidConstraint    a grammar or JSON Schema that cannot be used (400)
│   ├── NoChatTemplate       the model has none (400)
│   └── WrongPurpose         the model does something else than asked for (400)
├── NotFound
│   ├── SessionNotFound      no such chat session (404)
│   └── ComparisonNotFound   no such comparison (404)
├── Unusable
│   ├── TemplateFailed       the model's chat template failed or ran past its limits (422)
│   └── DoesNotFit           more memory than this machine has (422)
├── Overloaded               queue full or shutting down (503, Retry-After)
│   └── KeepsCrashing        the model's process died several times in a row (503, Retry-After)
├── WorkerFailed             the process of one model died or hung (500)
├── DaemonUnreachable        client side: no daemon, and not allowed or not able to start one
└── RemoteError              client side: an error that the daemon reported
"""

from __future__ import annotations

import math

from modelstore.errors import NotFound, Unusable
from modelstore.errors import NybbleError as NybbleError
from modelstore.errors import UserError as UserError


class PromptTooLong(UserError):
    """`prompt_tokens` as the worker counted them."""

    code = "context_length_exceeded"

    def __init__(
        self, message: str, prompt_tokens: int, context_length: int, *, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.prompt_tokens = prompt_tokens
        self.context_length = context_length


class AnswerUnread(UserError):
    code = "answer_unread"


class CannotShift(UserError):
    code = "shift_not_supported"


class InvalidConstraint(UserError):
    code = "invalid_constraint"


class NoChatTemplate(UserError):
    code = "no_chat_template"


class WrongPurpose(UserError):
    code = "wrong_purpose"


class SessionNotFound(NotFound):
    code = "session_not_found"


class ComparisonNotFound(NotFound):
    code = "comparison_not_found"


class TemplateFailed(Unusable):
    code = "template_failed"


class DoesNotFit(Unusable):
    code = "does_not_fit"


class Overloaded(NybbleError):
    """`retry_after_s` None: nobody knows; a moment."""

    code = "overloaded"
    status = 503

    def __init__(self, message: str, *, hint: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = 2 if retry_after_s is None else max(1, math.ceil(retry_after_s))


class KeepsCrashing(Overloaded):
    code = "keeps_crashing"


class WorkerFailed(NybbleError):
    code = "worker_crashed"


class DaemonUnreachable(NybbleError):
    code = "daemon_unreachable"
    status = 503


class RemoteError(NybbleError):
    """An error as another process reported it, with that process's code and status."""

    def __init__(self, message: str, *, hint: str | None = None, code: str, status: int) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.status = status
