"""Entry of a worker: load one model, then serve it until told to stop or the daemon is gone."""

from __future__ import annotations

import sys
import threading
from importlib import import_module

from native.errors import LlamaError
from native.stdio import take_stdin, take_stdout
from runner.protocol import Load, LoadFailed
from runner.worker.loading import load
from runner.worker.pipes import Inbox, Outbox


def main() -> int:
    outbox = Outbox(take_stdout())
    inbox = Inbox(take_stdin())
    command = inbox.take(None)
    if not isinstance(command, Load):
        return 2
    # llama.cpp loads without Python, which has the time to import the rest of the worker.
    threading.Thread(target=import_module, args=("runner.worker.serving",), daemon=True).start()
    try:
        loaded = load(command, outbox.put)
    except LlamaError as error:
        outbox.put(_failure(error))
        return 1
    outbox.put(loaded.ready)
    from runner.worker.serving import serve

    serve(command, loaded, inbox, outbox)
    loaded.close()
    return 0


def _failure(error: LlamaError) -> LoadFailed:
    from runner.worker.drafting.pairing import Unpaired

    if isinstance(error, Unpaired):
        return LoadFailed("draft_unsuitable", f"this draft model cannot be used: {error}", error.hint)
    return LoadFailed("model_invalid", f"llama.cpp refused the model: {error}")


if __name__ == "__main__":
    sys.exit(main())
