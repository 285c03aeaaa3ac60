"""Chat sessions over HTTP: `/nybble/sessions`."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request

from runner.history import History
from runner.wire import Session, SessionCreate, SessionInfo, SessionMessage, SessionUpdate

router = APIRouter(prefix="/nybble/sessions", tags=["sessions"])


def _history(request: Request) -> History:
    history: History = request.app.state.service.history
    return history


Kept = Annotated[History, Depends(_history)]
# SQLite's integers end here.
SessionId = Annotated[int, Path(ge=1, le=2**63 - 1)]


@router.get("")
async def list_sessions(history: Kept) -> list[SessionInfo]:
    return list(await asyncio.to_thread(history.list))


@router.post("")
async def create_session(body: SessionCreate, history: Kept) -> SessionInfo:
    return await asyncio.to_thread(history.create, body)


@router.get("/{session_id}")
async def get_session(session_id: SessionId, history: Kept) -> Session:
    return await asyncio.to_thread(history.get, session_id)


@router.patch("/{session_id}")
async def update_session(session_id: SessionId, body: SessionUpdate, history: Kept) -> SessionInfo:
    return await asyncio.to_thread(history.update, session_id, body)


@router.delete("/{session_id}", status_code=204)
async def delete_session(session_id: SessionId, history: Kept) -> None:
    await asyncio.to_thread(history.delete, session_id)


@router.post("/{session_id}/messages")
async def add_message(session_id: SessionId, message: SessionMessage, history: Kept) -> SessionMessage:
    return await asyncio.to_thread(history.add_message, session_id, message)
