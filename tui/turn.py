"""One answer from the daemon to the screen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from runner import wire
from runner.errors import NybbleError
from tui.desk import reported
from tui.widgets.markdown import Writer


@dataclass(slots=True)
class Heard:
    """What came back so far: `text` as the model wrote it, `delta` the last piece of it. Neither `done` nor
    `error`: it was stopped."""

    text: str = ""
    delta: wire.TextDelta | None = None
    done: wire.Done | None = None
    error: wire.ErrorBody | None = None


async def hear(
    events: AsyncIterator[wire.Progressing | wire.Done],
    writer: Writer,
    heard: Heard,
    on_progress: Callable[[wire.Progressing], None],
) -> None:
    """Reads to the end. `heard` is filled as text arrives, so that cancelling loses nothing; `on_progress` is
    told what comes before text."""
    try:
        async for event in events:
            if isinstance(event, wire.Done):
                heard.done = event
                return
            if isinstance(event, wire.TextDelta):
                heard.text += event.text
                heard.delta = event
                writer.write(event.text)
            else:
                on_progress(event)
    except NybbleError as error:
        heard.error = reported(error)
        return
    message = "the daemon ended the answer before it was complete"
    heard.error = wire.ErrorBody(message=message, hint="ask again", code="internal", status=500)
