"""A child that measures, as the daemon sees it: `runner.compare` and `runner.compare.fit`."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from modelstore.child import running
from modelstore.progress import check
from runner.errors import RemoteError, WorkerFailed

# What a child may take to remove its files once it is to stop.
_GRACE_S = 5.0

Message = dict[str, Any]


def measured(
    module: str, order: Message, emit: Callable[[Message], None], cancelled: threading.Event
) -> Message:
    """What the child says at last; `emit` gets everything before. Raises what the child reports, Cancelled,
    and WorkerFailed if it dies."""
    # It fetches models and renders templates, too: it needs the proxies and certificates of our environment.
    with running(module, cancelled, dict(os.environ), _GRACE_S) as child:
        child.send(order)
        for message in child.messages():
            if message["type"] == "done":
                return message
            if message["type"] == "error":
                raise RemoteError(**message["error"])
            emit(message)
        check(cancelled)
        raise WorkerFailed(f"measuring ended without a result: {child.last_words()}")
