"""Exit codes of `nybble`."""

from __future__ import annotations

from modelstore.errors import NybbleError
from runner.errors import DaemonUnreachable

OK = 0
FAILED = 1
USAGE = 2
NOT_FOUND = 3
UNREACHABLE = 4
ALREADY_RUNNING = 5
INTERRUPTED = 130

MEANINGS = {
    OK: "done",
    FAILED: "it failed; the message says why",
    USAGE: "wrong arguments, settings or request",
    NOT_FOUND: "no such model",
    UNREACHABLE: "no daemon, and none could or was allowed to be started",
    ALREADY_RUNNING: "`serve`: the store has a daemon already",
    INTERRUPTED: "stopped by Ctrl-C",
}

_BY_STATUS = {400: USAGE, 404: NOT_FOUND}
_BY_CODE = {"already_running": ALREADY_RUNNING, DaemonUnreachable.code: UNREACHABLE}


def code_for(error: NybbleError) -> int:
    return _BY_CODE.get(error.code) or _BY_STATUS.get(error.status, FAILED)
