"""Runs pip in this process and ends it as soon as standard input closes: when the parent dies, so does it.

A script, so that any interpreter that has pip can run it: it imports nothing of ours.
"""

import os
import runpy
import threading


def _die_with_parent() -> None:
    # Not through sys.stdin: a thread that waits inside its lock breaks the end of the interpreter.
    while os.read(0, 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_die_with_parent, daemon=True).start()
    runpy.run_module("pip", run_name="__main__", alter_sys=True)
