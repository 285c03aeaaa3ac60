"""The user's own chats as text to be scored, by choice only. It stays on this computer: pure."""

from __future__ import annotations

from collections.abc import Iterable

from runner.wire import Session


def conversations(sessions: Iterable[Session]) -> str:
    """All that was said, one conversation after another; answers that were cut off are left out."""
    said = (
        [message.content.strip() for message in session.messages if not message.is_partial]
        for session in sessions
    )
    return "\n\n".join("\n\n".join(filter(None, messages)) for messages in said if messages)
