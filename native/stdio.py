"""A child's side of the pipes to its parent: JSON lines."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO

from native.errors import LlamaError

Answer = Callable[[dict[str, Any]], None]
"""Writes one line."""


def take_stdin() -> BinaryIO:
    """Our own reader: the interpreter locks `sys.stdin` when it exits, and would find a thread still reading
    from it. Its end is what ends a child; Ctrl+C in a terminal reaches all that was started there, and it is
    for the parent to say what becomes of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return os.fdopen(os.dup(0), "rb")


def take_stdout() -> BinaryIO:
    """Our own copy, to be flushed. Descriptor 1 then points to stderr: what a library prints cannot get
    between two lines."""
    copy = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(copy, "wb")


def answers() -> Answer:
    """`take_stdout` for JSON."""
    stdout = take_stdout()

    def answer(fields: dict[str, Any]) -> None:
        stdout.write(json.dumps(fields).encode() + b"\n")
        stdout.flush()

    return answer


def carry_out(work: Callable[[dict[str, Any]], Iterable[dict[str, Any]]]) -> None:
    """Takes one order and answers what `work` says of it; a LlamaError is the last answer. The end of stdin
    ends this process."""
    answer, requests = answers(), take_stdin()
    order = json.loads(requests.readline())
    end_with_parent(requests)
    try:
        for fields in work(order):
            answer(fields)
    except LlamaError as error:
        answer({"error": str(error)})


def end_of(requests: BinaryIO) -> threading.Event:
    """Set at the end of `requests`: nobody waits for this process any more."""
    ended = threading.Event()
    _at_end(requests, ended.set)
    return ended


def end_with_parent(requests: BinaryIO) -> None:
    """From now on the end of `requests` ends this process at once."""

    def end() -> None:
        sys.stderr.flush()
        os._exit(1)

    _at_end(requests, end)


def _at_end(requests: BinaryIO, act: Callable[[], None]) -> None:
    def read() -> None:
        requests.read()
        act()

    threading.Thread(target=read, daemon=True).start()
