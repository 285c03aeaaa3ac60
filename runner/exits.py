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

_BY_STATUS = {400: USAGE, 404: NOT_FOUND}
_BY_CODE = {"already_running": ALREADY_RUNNING, DaemonUnreachable.code: UNREACHABLE}


def code_for(error: NybbleError) -> int:
    return _BY_CODE.get(error.code) or _BY_STATUS.get(error.status, FAILED)
