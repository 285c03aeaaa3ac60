"""What all wire types have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Wire(BaseModel):
    """Base of all wire types: unknown fields are ignored, so that old and new versions can talk.

    A type's validator is built at its first use: a command uses few of them.
    """

    model_config = ConfigDict(extra="ignore", protected_namespaces=(), defer_build=True)


class ErrorBody(Wire):
    message: str
    hint: str | None = None
    code: str
    status: int
