"""Chat sessions, kept by the daemon."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from runner.wire.base import Wire


class SessionInfo(Wire):
    id: int
    title: str
    model: str | None = None
    created_at: datetime
    updated_at: datetime


class SessionMessage(Wire):
    """`is_partial` marks an answer that was stopped or failed; what arrived of it is kept."""

    id: int = 0
    role: Literal["system", "user", "assistant"]
    content: str
    model: str | None = None
    is_partial: bool = False
    created_at: datetime | None = None


class Session(SessionInfo):
    messages: list[SessionMessage] = Field(default_factory=list)


class SessionCreate(Wire):
    title: str = "New chat"
    model: str | None = None


class SessionUpdate(Wire):
    title: str | None = None
    model: str | None = None
