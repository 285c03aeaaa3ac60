"""One answer, streamed to stdout; what happens meanwhile on stderr."""

from __future__ import annotations

import os
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING

from runner.cli import human, output
from runner.text import StreamCleaner, in_line
from runner.wire import Done, GenerateRequest, Loading, Prefilling, Queued, Reloading, TextDelta

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.client import Client


async def answer(
    client: Client, request: GenerateRequest, *, verbose: bool, keep: Callable[[str], None] | None = None
) -> None:
    """Print the answer as it comes, and with `verbose` its times and speeds; what the daemon is busy with
    goes to a status line. `keep` gets the pieces as they are. Raises RemoteError."""
    status, cleaner = StatusLine(), StreamCleaner()
    done, end = None, ""
    try:
        async with aclosing(client.generate(request)) as events:
            async for event in events:
                match event:
                    case TextDelta(text=text):
                        status.clear()
                        _write(cleaner.feed(text))
                        end = "\n"
                        if keep is not None:
                            keep(text)
                    case Done():
                        done = event
                    case _:
                        status.show(describe(event))
    finally:
        # Also after half an answer.
        status.clear()
        _write(cleaner.flush() + end)
    if done is not None:
        _confess(done)
        if verbose:
            _report(done)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def describe(event: Queued | Loading | Reloading | Prefilling) -> str:
    """What an answer waits for, in a few words."""
    match event:
        case Queued(position=position):
            return in_line(position)
        case Reloading(reason=reason):
            return f"loading the model again: {reason}"
        case Loading(fraction=fraction):
            return f"loading the model, {fraction:.0%}"
        case Prefilling(done_tokens=done, total_tokens=total):
            share = f", {done / total:.0%} of" if total else ","
            return f"reading the prompt{share} {total:,} tokens"


class StatusLine:
    """One line on stderr that replaces itself; nothing where stderr is no terminal."""

    def __init__(self) -> None:
        self._width = 0

    def show(self, text: str) -> None:
        if output.has_live_terminal():
            self.clear()
            # What goes on in a second line could not be cleared.
            shown = text[: os.get_terminal_size(sys.stderr.fileno()).columns - 1]
            sys.stderr.write(shown)
            sys.stderr.flush()
            self._width = len(shown)

    def clear(self) -> None:
        if self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()
            self._width = 0


def _confess(done: Done) -> None:
    """Say what a full context cost."""
    if count := done.usage.dropped_messages:
        output.say(f"the context is full: without the {count} oldest messages")
    if count := done.usage.shifted_tokens:
        output.say(f"the context was full: {count:,} tokens were forgotten on the way")


def _report(done: Done) -> None:
    usage, timings = done.usage, done.timings
    # The first token comes out of the prefill.
    decoded = max(0, usage.completion_tokens - 1)
    prefilled = usage.prompt_tokens - usage.cached_tokens
    rows = [
        ("total", human.seconds(timings.total_s)),
        ("load", human.seconds(timings.load_s)),
        ("queue", human.seconds(timings.queue_s)),
        ("prefill", f"{human.seconds(timings.prefill_s)}{_rate(prefilled, timings.prefill_s)}"),
        ("decode", f"{human.seconds(timings.decode_s)}{_rate(decoded, timings.decode_s)}"),
        ("TTFT", "-" if timings.ttft_s is None else human.seconds(timings.ttft_s)),
        ("prompt tokens", f"{usage.prompt_tokens}, {usage.cached_tokens} of them cached"),
        ("drafted tokens", f"{usage.drafted_tokens}, {usage.accepted_tokens} of them accepted"),
        ("completion tokens", f"{usage.completion_tokens}, ended by {done.reason}"),
    ]
    for name, value in rows:
        output.say(f"{name.ljust(18)} {value}")


def _rate(tokens: int, elapsed_s: float) -> str:
    return f" ({tokens / elapsed_s:.1f} tok/s)" if tokens > 0 and elapsed_s > 0 else ""
