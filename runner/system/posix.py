"""What Linux and macOS share."""

from __future__ import annotations

import resource
import signal
import socket
from typing import Any


def stop_signals() -> list[signal.Signals]:
    """Signals that ask a daemon to stop."""
    return [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def detached_process_options() -> dict[str, Any]:
    """Options for subprocess.Popen: outlives this process and its terminal, gets no Ctrl-C."""
    return {"start_new_session": True}


def claim_address(listener: socket.socket) -> None:
    """Before bind: a port whose last owner died is free at once; one that is listened on is not."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def limit_files() -> None:
    """This process writes no files and dumps no core."""
    lower(resource.RLIMIT_CORE, 0)
    lower(resource.RLIMIT_FSIZE, 0)


def lower(kind: int, limit: int) -> None:
    """Set a soft and hard limit, but never above the hard one that holds already."""
    _, hard = resource.getrlimit(kind)
    value = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(kind, (value, value))
