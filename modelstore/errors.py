"""The error tree of nybble: its root, and the branch of the store.

    NybbleError
    ├── UserError            the request is wrong (400)
    │   └── InvalidName
    ├── NotFound             no such model (404)
    ├── Conflict             busy or already there (409)
    ├── Unusable             a valid request for a model that cannot be used (422)
    │   ├── InvalidModel     not GGUF, truncated, header out of bounds
    │   └── DigestMismatch   bytes are not what their digest says
    ├── SourceUnavailable    no source could deliver (502)
    └── StorageFull          (507)

`runner.errors` adds the branch of the daemon. The official SDKs retry 5xx by themselves, so only what
may pass by waiting is 5xx.
"""

from __future__ import annotations


class NybbleError(Exception):
    """Root of all expected failures: a sentence for the user, what to do, a stable code, an HTTP status."""

    code = "internal"
    status = 500

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UserError(NybbleError):
    code = "invalid_request"
    status = 400


class InvalidName(UserError):
    code = "invalid_name"


class NotFound(NybbleError):
    code = "model_not_found"
    status = 404


class Conflict(NybbleError):
    code = "conflict"
    status = 409


class Unusable(NybbleError):
    code = "model_unusable"
    status = 422


class InvalidModel(Unusable):
    code = "model_invalid"


class DigestMismatch(Unusable):
    code = "digest_mismatch"


class SourceUnavailable(NybbleError):
    code = "source_unavailable"
    status = 502


class StorageFull(NybbleError):
    code = "storage_full"
    status = 507
