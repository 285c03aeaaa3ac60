"""Sessions over a real socket, with the client that the CLI and the TUI use."""

from __future__ import annotations

import pytest

from runner.client import Client
from runner.errors import RemoteError
from runner.wire import SessionCreate, SessionMessage, SessionUpdate
from tests.fakes.daemon import FakeDaemon


async def test_a_session_lives_over_http(fake_daemon: FakeDaemon) -> None:
    async with Client(fake_daemon.address) as client:
        session = await client.create_session(SessionCreate(model="smollm2:135m"))
        assert session.title == "New chat"
        kept = await client.add_message(session.id, SessionMessage(role="user", content="Hi [b]there"))
        assert kept.id > 0 and kept.created_at is not None
        renamed = await client.update_session(session.id, SessionUpdate(title="Greetings"))
        assert renamed.title == "Greetings"
        assert (await client.session(session.id)).messages == [kept]
        assert [info.title for info in await client.sessions()] == ["Greetings"]
        await client.delete_session(session.id)
        assert await client.sessions() == []


@pytest.mark.parametrize(
    ("session_id", "status", "code"),
    [(4711, 404, "session_not_found"), (2**63, 400, "invalid_request"), (-1, 400, "invalid_request")],
)
async def test_an_unknown_session_is_reported(
    fake_daemon: FakeDaemon, session_id: int, status: int, code: str
) -> None:
    async with Client(fake_daemon.address) as client:
        with pytest.raises(RemoteError) as raised:
            await client.session(session_id)
    assert (raised.value.status, raised.value.code) == (status, code)
