"""The command `nybble`."""

from __future__ import annotations

import atexit
import gc
import io
import os
import sys
from pathlib import Path

# A command that lists something makes some 60,000 objects, nearly all by importing, and no garbage.
_OBJECTS_BEFORE_COLLECTING = 100_000


def main() -> int:
    """Run the command line; returns or exits with a code of `runner.exits`."""
    # Looking for garbage, also at the very end, would be a fifth of the time of a short command.
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTING)
    atexit.register(gc.freeze)
    from modelstore.errors import NybbleError
    from runner import exits

    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - to the end
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):
            # What the locale cannot say is no reason to fail: another byte in a file, an emoji on Windows.
            stream.reconfigure(errors="replace")
    # Else pydantic looks for plugins in every installed package: slow, and none may change what types mean.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        from runner.cli.app import app

        app(prog_name="nybble")
    except NybbleError as error:
        from runner.cli.output import report

        report(error)
        return exits.code_for(error)
    except OSError as error:
        # A disk that is full, a folder of somebody else: what every command may meet, and no fault in it.
        from runner.cli.output import say

        say(f"error: cannot use {error.filename or 'a file'}: {error.strerror or error}")
        say("hint: see whether you may write there and the disk has room, or set NYBBLE_HOME")
        return exits.FAILED
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    return 0
