"""Chat sessions over HTTP: `/nybble/sessions`."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Request

from runner.api.fields import ParsingRoute, service_of
from runner.wire import Session, SessionCreate, SessionInfo, SessionMessage, SessionUpdate

router = APIRouter(prefix="/nybble/sessions", tags=["sessions"], route_class=ParsingRoute)

# SQLite's integers end here.
SessionId = Annotated[int, Path(ge=1, le=2**63 - 1)]


@router.get("")
async def list_sessions(request: Request) -> list[SessionInfo]:
    return list(await asyncio.to_thread(service_of(request).history.list))


@router.post("")
async def create_session(body: SessionCreate, request: Request) -> SessionInfo:
    return await asyncio.to_thread(service_of(request).history.create, body)


@router.get("/{session_id}")
async def get_session(session_id: SessionId, request: Request) -> Session:
    return await asyncio.to_thread(service_of(request).history.get, session_id)


@router.patch("/{session_id}")
async def update_session(session_id: SessionId, body: SessionUpdate, request: Request) -> SessionInfo:
    return await asyncio.to_thread(service_of(request).history.update, session_id, body)


@router.delete("/{session_id}", status_code=204)
async def delete_session(session_id: SessionId, request: Request) -> None:
    await asyncio.to_thread(service_of(request).history.delete, session_id)


@router.post("/{session_id}/messages")
async def add_message(session_id: SessionId, message: SessionMessage, request: Request) -> SessionMessage:
    return await asyncio.to_thread(service_of(request).history.add_message, session_id, message)
