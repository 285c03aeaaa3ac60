"""Child entry, `python -I -m runner.compare`: one comparison, from the order to the result.

One JSON line on stdin (`order.Order`), then one CompareEvent a line on stdout; "done" or "error" is the last.
End of file on stdin means that nobody waits any more: it removes what it made and ends.
"""

from __future__ import annotations

import logging
import sys

from pydantic import TypeAdapter

from modelstore.errors import NybbleError
from modelstore.progress import Cancelled
from native.stdio import end_of, take_stdin, take_stdout
from runner.compare.order import Order, Talk
from runner.wire.base import ErrorBody
from runner.wire.compare import CompareEvent
from runner.wire.generation import ErrorEvent

_log = logging.getLogger(__name__)


def main() -> None:
    events, orders = take_stdout(), take_stdin()
    line = orders.readline()
    if not line:
        return
    cancelled = end_of(orders)

    def say(event: CompareEvent) -> None:
        try:
            events.write(event.model_dump_json(exclude_none=True).encode() + b"\n")
            events.flush()
        except BrokenPipeError:
            # The daemon died: nobody will hear of this, but what was made is still to be removed.
            cancelled.set()
            raise Cancelled from None

    try:
        _run(line, Talk(say, cancelled))
    except Cancelled:
        sys.exit(1)


def _run(line: bytes, talk: Talk) -> None:
    from runner.compare.conduct import conduct

    try:
        conduct(TypeAdapter(Order).validate_json(line), talk)
    except NybbleError as error:
        _say_failed(talk, error)
    except Cancelled:
        raise
    except Exception:  # noqa: BLE001 - the last who can tell: the daemon shows the last line of stderr
        _log.exception("the comparison failed")
        why = "the comparison failed for a reason that nybble did not foresee"
        _say_failed(talk, NybbleError(why, hint="`nybble logs` has the details"))


def _say_failed(talk: Talk, error: NybbleError) -> None:
    talk.say(ErrorEvent(error=ErrorBody.model_validate(error, from_attributes=True)))


if __name__ == "__main__":
    main()
