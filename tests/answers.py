"""Asking a daemon and waiting for the whole answer."""

from __future__ import annotations

from runner import wire
from runner.client import Client


async def answer(client: Client, request: wire.GenerateRequest) -> tuple[str, wire.Done]:
    """The text and how it ended. Raises what the generation raises."""
    text, done = "", None
    async for event in client.generate(request):
        text += event.text if isinstance(event, wire.TextDelta) else ""
        done = event if isinstance(event, wire.Done) else done
    assert done
    return text, done
