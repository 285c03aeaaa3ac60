"""Entry of a worker: load one model, then serve it until told to stop or the daemon is gone."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from native.embedding import EmbeddingContext
from native.errors import LlamaError
from native.llama import Context, ContextOptions, Model
from native.log import Log
from native.offload import placed_on
from runner.protocol import (
    Cancel,
    Embed,
    Generate,
    Load,
    LoadFailed,
    LoadProgressed,
    ProtocolError,
    Ready,
    Shutdown,
)
from runner.worker.embedding import Embedder
from runner.worker.engine import Engine
from runner.worker.pipes import Inbox, Outbox, take_over_stdin, take_over_stdout
from runner.worker.prefix.caches import PrefixLimits
from runner.worker.speculate import draft_tokens
from runner.worker.threads import Threads

# Long enough for llama.cpp to read a prompt at full speed, short enough to answer a cancel.
_BATCH_TOKENS = 512


def main() -> int:
    outbox = Outbox(take_over_stdout())
    inbox = Inbox(take_over_stdin())
    load = inbox.take(wait=True)
    if not isinstance(load, Load):
        return 2
    try:
        context = _load(load, outbox)
    except LlamaError as error:
        outbox.put(LoadFailed("model_invalid", f"llama.cpp refused the model: {error}"))
        outbox.close()
        return 1
    engine = _engine(context, load)
    _serve(engine, Threads(context), inbox, outbox)
    outbox.close()
    if isinstance(engine, Engine):
        engine.close()
    context.close()
    context.model.close()
    return 0


def _load(load: Load, outbox: Outbox) -> Context | EmbeddingContext:
    started = time.perf_counter()
    log = Log()
    reported = 0.0

    def progress(fraction: float) -> bool:
        nonlocal reported
        if fraction - reported >= 0.05:
            reported = fraction
            outbox.put(LoadProgressed(fraction))
        return True

    model = Model(Path(load.model_path), load.gpu_layers, progress, log)
    context = _embedding_context(model, load) if load.is_embedding else _context(model, load)
    outbox.put(_ready(load, model, log, time.perf_counter() - started))
    return context


def _context(model: Model, load: Load) -> Context:
    options = ContextOptions(
        load.context_length,
        load.slots,
        _BATCH_TOKENS,
        load.threads,
        load.prefill_threads,
        draft_tokens=draft_tokens(model, load.slots) if load.speculation else 0,
    )
    return Context(model, options)


def _embedding_context(model: Model, load: Load) -> EmbeddingContext:
    return EmbeddingContext(model, load.context_length, load.slots, load.threads, load.prefill_threads)


def _engine(context: Context | EmbeddingContext, load: Load) -> Engine | Embedder:
    if isinstance(context, EmbeddingContext):
        return Embedder(context)
    prefixes = PrefixLimits(load.prefix_ram_bytes, load.prefix_disk_path, load.prefix_disk_bytes)
    return Engine(context, load.prefill_step_s, prefixes)


def _ready(load: Load, model: Model, log: Log, load_s: float) -> Ready:
    return Ready(
        context_length=load.context_length,
        slots=load.slots,
        threads=load.threads,
        devices=placed_on(log.infos),
        load_s=load_s,
        bos_text=model.token_text(model.bos_token),
        eos_text=model.token_text(model.eos_token),
        control_tokens=tuple(model.control_tokens()),
    )


def _serve(engine: Engine | Embedder, threads: Threads, inbox: Inbox, outbox: Outbox) -> None:
    """Take commands between steps; rest when there is nothing to do."""
    while True:
        has_idle_work = isinstance(engine, Engine) and engine.is_idle and engine.use_idle_time()
        command = inbox.take(wait=engine.is_idle and not has_idle_work)
        while command is not None:
            if isinstance(command, Shutdown):
                return
            if isinstance(command, Generate | Embed):
                _submit(engine, command)
            elif isinstance(command, Cancel):
                engine.cancel(command.request_id)
            command = inbox.take(wait=False)
        if not engine.is_idle:
            outbox.put(engine.step())
            threads.adapt()


def _submit(engine: Engine | Embedder, command: Generate | Embed) -> None:
    match engine, command:
        case Engine(), Generate():
            engine.submit(command)
        case Embedder(), Embed():
            engine.submit(command)
        case _:
            raise ProtocolError(f"the model was not loaded to {type(command).__name__.lower()}")


if __name__ == "__main__":
    sys.exit(main())
