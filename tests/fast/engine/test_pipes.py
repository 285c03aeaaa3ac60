"""The worker's pipe to a daemon that does not read."""

from __future__ import annotations

import os
import threading

from runner.protocol import LoadProgressed, decode
from runner.worker.pipes import Outbox

EVENTS = 10_000


def test_a_daemon_that_does_not_read_stops_the_worker_and_loses_nothing() -> None:
    out, into = os.pipe()
    stream = os.fdopen(into, "wb")
    outbox = Outbox(stream)

    def put() -> None:
        for number in range(EVENTS):
            outbox.put(LoadProgressed(number))

    worker = threading.Thread(target=put)
    worker.start()
    worker.join(0.5)
    assert worker.is_alive()
    with os.fdopen(out, "rb") as lines:
        for number in range(EVENTS):
            assert decode(lines.readline()) == LoadProgressed(number)
    worker.join()
    stream.close()
